//! What Entra refuses: the AADSTS numbers and the body that tells them. Pure.

use serde_json::json;

use crate::simulator::reply::{Marks, Reply};

/// A token request that Entra refuses.
#[derive(Clone, Debug)]
pub(crate) struct EntraRefusal {
    code: u32,
    text: String,
    /// Where it is not what the table says for the number.
    error: Option<&'static str>,
}

/// The AADSTS numbers of graph-api.md section 2.6: number, status, `error`, text.
#[rustfmt::skip]
const ENTRA: &[(u32, u16, &str, &str)] = &[
    (28002, 400, "invalid_scope", "The scope is not valid."),
    (40008, 400, "invalid_request", "An unretryable error came from the identity provider."),
    (40010, 503, "temporarily_unavailable", "The identity provider can be asked again."),
    (50001, 400, "invalid_resource", "The resource is disabled or does not exist."),
    (50012, 401, "invalid_client", "Authentication failed."),
    (50013, 401, "invalid_client", "The assertion is invalid."),
    (50027, 401, "invalid_client", "The assertion is not a valid JWT."),
    (50033, 503, "temporarily_unavailable", "A transient error occurred."),
    (50034, 400, "invalid_grant", "The user account does not exist in the directory."),
    (50053, 400, "invalid_grant", "The account is locked."),
    (50055, 400, "invalid_grant", "The password is expired."),
    (50057, 400, "invalid_grant", "The user account is disabled."),
    (50059, 400, "invalid_request", "No tenant-identifying information found in the request."),
    (50076, 400, "interaction_required", "Multi-factor authentication is required."),
    (50079, 400, "interaction_required", "Multi-factor authentication must be set up."),
    (50087, 503, "temporarily_unavailable", "A transient error occurred during strong authentication."),
    (50089, 400, "invalid_grant", "The flow token is expired."),
    (50126, 400, "invalid_grant", "The user name or the password is wrong."),
    (50158, 400, "interaction_required", "An external security challenge was not satisfied."),
    (50173, 400, "invalid_grant", "The grant was revoked; a fresh sign-in is needed."),
    (50196, 400, "invalid_grant", "A client request loop was detected."),
    (53000, 400, "interaction_required", "The device is not compliant."),
    (53001, 400, "interaction_required", "The device is not joined to the domain."),
    (53002, 400, "interaction_required", "The application is not approved."),
    (53003, 400, "interaction_required", "Access was blocked by conditional access."),
    (54005, 400, "invalid_grant", "The code was redeemed before."),
    (65001, 400, "consent_required", "Nobody has consented to this application."),
    (65004, 400, "authorization_declined", "The user declined to consent to the application."),
    (70000, 400, "invalid_grant", "The provided grant is invalid or has been revoked."),
    (70001, 400, "unauthorized_client", "The application is disabled or was not found."),
    (70003, 400, "unsupported_grant_type", "The application asked for a grant type that is not supported."),
    (70008, 400, "invalid_grant", "The provided grant has expired."),
    (70011, 400, "invalid_scope", "The scope is not valid: a client credentials request names one resource, followed by /.default."),
    (70016, 400, "authorization_pending", "OAuth 2.0 device flow error. Authorization is pending."),
    (70018, 400, "bad_verification_code", "The verification code is not valid."),
    (70019, 400, "expired_token", "The verification code has expired."),
    (70021, 401, "invalid_client", "No matching federated identity record found for the presented assertion."),
    (70043, 400, "invalid_grant", "The refresh token has expired by a sign-in frequency check."),
    (80005, 503, "temporarily_unavailable", "The authentication agent answered nothing that can be used."),
    (90002, 400, "invalid_request", "Tenant not found."),
    (90006, 503, "temporarily_unavailable", "The external server is unavailable for a moment."),
    (90012, 503, "temporarily_unavailable", "The request timed out."),
    (90013, 400, "invalid_request", "Invalid input received from the user."),
    (90019, 400, "invalid_request", "No tenant-identifying information found in the request."),
    (90024, 503, "temporarily_unavailable", "The request budget was exceeded for a moment."),
    (90033, 503, "temporarily_unavailable", "The service is temporarily unavailable."),
    (90036, 400, "invalid_request", "An unexpected error that cannot be retried came from the directory."),
    (90038, 400, "invalid_request", "The tenant lives in another cloud."),
    (90055, 429, "temporarily_unavailable", "The tenant is throttled by too many requests."),
    (90090, 503, "temporarily_unavailable", "A transient error occurred in the directory."),
    (90091, 503, "temporarily_unavailable", "A transient error occurred in the directory."),
    (90092, 400, "invalid_request", "An error that cannot be retried occurred in the directory."),
    (90094, 400, "consent_required", "An administrator has to consent."),
    (500_011, 400, "invalid_resource", "The resource was not found in the tenant."),
    (500_133, 401, "invalid_client", "The assertion is not within its valid time range."),
    (530_032, 400, "interaction_required", "Access was blocked by the security policy of the tenant."),
    (650_052, 400, "invalid_resource", "The organization has no subscription to the service."),
    (650_057, 400, "invalid_resource", "The resource is not among the permissions of the application."),
    (700_011, 400, "unauthorized_client", "The application was not found in the directory."),
    (700_016, 400, "unauthorized_client", "Application was not found in the directory."),
    (700_022, 400, "invalid_scope", "The scope names more than one resource."),
    (700_023, 400, "invalid_scope", "The scope names no resource."),
    (700_024, 401, "invalid_client", "The client assertion is not within its valid time range."),
    (700_025, 401, "invalid_client", "The client is public: neither client_assertion nor client_secret should be presented."),
    (700_027, 401, "invalid_client", "The client assertion failed signature validation: its key is not registered."),
    (700_082, 400, "invalid_grant", "The refresh token has expired due to inactivity."),
    (700_211, 401, "invalid_client", "No matching federated identity record found for the presented assertion issuer."),
    (700_212, 401, "invalid_client", "No matching federated identity record found for the presented assertion audience."),
    (700_213, 401, "invalid_client", "No matching federated identity record found for the presented assertion subject."),
    (900_144, 400, "invalid_request", "The request body lacks a parameter."),
    (900_382, 400, "invalid_request", "Confidential clients are not supported across clouds."),
    (900_432, 400, "invalid_request", "Confidential clients are not supported across clouds."),
    (7_000_112, 400, "unauthorized_client", "The application is disabled."),
    (7_000_215, 401, "invalid_client", "Invalid client secret provided."),
    (7_000_218, 401, "invalid_client", "The request body must contain client_assertion or client_secret."),
    (7_000_222, 401, "invalid_client", "The provided client secret keys are expired."),
];

impl EntraRefusal {
    /// The refusal with this AADSTS number and its usual text.
    pub(crate) fn of(code: u32) -> Self {
        let text = ENTRA.iter().find(|known| known.0 == code);
        Self::saying(
            code,
            text.map_or("The request was refused.", |known| known.3),
        )
    }

    /// The refusal with this AADSTS number and a text of its own.
    pub(super) fn saying(code: u32, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            error: None,
        }
    }

    /// RFC 8628, 3.5; it has no known number of its own.
    pub(super) fn slow_down() -> Self {
        Self {
            error: Some("slow_down"),
            ..Self::of(70016)
        }
    }
}

/// The token endpoint's error body (graph-api.md, section 2.6).
pub(crate) fn entra_error(refusal: &EntraRefusal, authority: &str, marks: &Marks) -> Reply {
    let code = refusal.code;
    let (status, error) = ENTRA
        .iter()
        .find(|known| known.0 == code)
        .map_or((400, "invalid_request"), |known| (known.1, known.2));
    let error = refusal.error.unwrap_or(error);
    let stamp = marks.now.format("%Y-%m-%d %H:%M:%SZ").to_string();
    let (trace, correlation) = (&marks.request_id, &marks.client_request_id);
    let description = format!(
        "AADSTS{code}: {}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {stamp}",
        refusal.text
    );
    Reply::json(
        status,
        json!({
            "error": error,
            "error_description": description,
            "error_codes": [code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{authority}/error?code={code}"),
        }),
    )
}

/// What the token endpoint usually says with `status`, for scripted answers.
pub(crate) fn usual_entra(status: u16, authority: &str, marks: &Marks) -> Reply {
    let code = match status {
        401 => 7_000_215,
        429 => 90055,
        500.. => 90033,
        _ => 90002,
    };
    Reply {
        status,
        ..entra_error(&EntraRefusal::of(code), authority, marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_stands_once_with_the_error_of_its_class() {
        assert!(ENTRA.is_sorted_by(|a, b| a.0 < b.0));
        for (code, status, error, text) in ENTRA {
            let expected: &[u16] = match *error {
                "invalid_client" => &[401],
                "temporarily_unavailable" => &[429, 503],
                _ => &[400],
            };
            assert!(expected.contains(status) && text.ends_with('.'), "{code}");
        }
    }
}
