//! What to do about a refusal of Entra, in words (graph-api.md, section 2.6). Pure.

use super::answer::Pause;
use super::sign_in::SignIn;

/// That the application is none for people.
const PUBLIC_CLIENT: &str = "the application does not let people sign in by device code; switch on \
                             `Allow public client flows` in its app registration (Authentication), \
                             and check `client-id`";

/// That a person's sign-in holds no more.
const SIGN_IN_ANEW: &str = "the sign-in has expired or was revoked; run `meetbridge login`";

/// What a person is to do, and when it is tried again anyway.
#[derive(Debug)]
pub(super) struct Advice {
    pub(super) text: String,
    pub(super) pause: Pause,
}

/// Whether an AADSTS code is of trouble that passes by itself.
pub(super) fn is_transient(code: u64) -> bool {
    const TRANSIENT: [u64; 10] = [
        50033, 50087, 90006, 90012, 90024, 90033, 90090, 90091, 40010, 80005,
    ];
    TRANSIENT.contains(&code)
}

/// What to do about an AADSTS code that stays until a person acts; `None` for one without advice.
pub(super) fn by_code(code: u64, sign_in: &SignIn, tenant: &str) -> Option<Advice> {
    let pause = match code {
        50_196 => Pause::Long,
        70_000 | 70_008 | 700_082 | 70_043 | 50_173 | 50_089 | 54_005 => Pause::Replaced,
        _ => Pause::Slow,
    };
    if let SignIn::DeviceCode { .. } = sign_in
        && let Some(text) = to_person(code)
    {
        return Some(Advice {
            text: text.to_owned(),
            pause,
        });
    }
    let text = match code {
        7_000_215 => format!(
            "the client secret is wrong; put the secret's value, not its id, into {sign_in}"
        ),
        7_000_222 => format!(
            "the client secret has expired; make a new one in the app registration (Certificates & \
             secrets) and put its value into {sign_in}"
        ),
        7_000_218 => {
            "the application asks for a credential and was shown none; check that a proxy leaves \
             requests as they are"
                .to_owned()
        }
        700_016 | 700_011 | 70_001 => {
            format!("tenant {tenant} has no such application; check `client-id` and `tenant`")
        }
        7_000_112 => "the application is disabled; an administrator enables it in Entra under \
                      Enterprise applications"
            .to_owned(),
        700_025 => format!(
            "the application is a public client, which shows no credential; switch off `Allow public \
             client flows` in its app registration (Authentication) and see that {sign_in} is \
             registered there"
        ),
        700_027 => format!(
            "Entra cannot check the assertion's signature: add the certificate in {sign_in} to the \
             app registration (Certificates & secrets); if it is there, see that it has not expired, \
             and try the other `certificate-algorithm`"
        ),
        700_024 => untimely(sign_in),
        70_021 | 700_211..=700_213 => format!(
            "no federated credential of the application matches the token in {sign_in}: its issuer, \
             subject and audience must be those of the app registration (Certificates & secrets, \
             Federated credentials); a change there takes some minutes to have an effect"
        ),
        50_012 | 50_013 | 500_133 | 50_027 => format!(
            "the assertion made from {sign_in} is bad or out of date; set this machine's clock by a \
             time server, check `tenant` and `authority-url`, and see that the credential belongs to \
             the application"
        ),
        50_034 => "the user is not in this tenant; check `tenant`, and sign in anew".to_owned(),
        50_053 | 50_055 | 50_057 | 50_126 => {
            "the user's account is locked or disabled, or its password is wrong or has expired; an \
             administrator has to mend the account, then sign in anew"
                .to_owned()
        }
        50_076 | 50_079 | 50_158 | 53_000..=53_003 | 530_032 => {
            "a conditional access policy of the tenant blocks the application; an administrator has \
             to except it"
                .to_owned()
        }
        65_001 | 65_004 | 90_094 => "an administrator has to consent to what the \
                                     application asks for: OnlineMeetings.ReadWrite.All, and \
                                     Calendars.ReadWrite where api = \"calendar-event\""
            .to_owned(),
        70_000 | 70_008 | 700_082 | 70_043 | 50_173 | 50_089 | 54_005 => {
            "the sign-in has expired or was revoked; sign in anew".to_owned()
        }
        70_011 | 28_002 | 700_022 | 700_023 | 500_011 | 650_052 | 650_057 | 50_001 => {
            "this tenant does not know the Graph that `graph-url` or `cloud` names; check both"
                .to_owned()
        }
        90_002 | 50_059 | 90_019 => {
            format!("there is no tenant {tenant} in this cloud; check `tenant` and `cloud`")
        }
        90_038 | 900_382 | 900_432 => {
            format!("tenant {tenant} lives in another cloud; check `cloud`")
        }
        50_196 => "Entra sees a loop of identical requests; stop other programs that use this \
                   application, and other meetbridges; it is tried again in an hour"
            .to_owned(),
        90_036 | 90_092 | 40_008 => {
            "the directory fails in a way that does not pass by itself; look at the application's \
             sign-in log in Entra, or ask Microsoft's support"
                .to_owned()
        }
        _ => return None,
    };
    Some(Advice { text, pause })
}

/// What to do where a person signs in by device code, as far as that is something else.
fn to_person(code: u64) -> Option<&'static str> {
    Some(match code {
        7_000_218 | 700_025 => PUBLIC_CLIENT,
        50_034 => {
            "the user is not in this tenant; check `tenant`, and run `meetbridge login` as one of \
             its users"
        }
        50_053 | 50_055 | 50_057 | 50_126 => {
            "the user's account is locked or disabled, or its password is wrong or has expired; an \
             administrator has to mend the account, then run `meetbridge login`"
        }
        50_076 | 50_079 | 50_158 | 53_000..=53_003 | 530_032 => {
            "a conditional access policy of the tenant asks for more than this sign-in gave, or \
             forbids device codes; run `meetbridge login` again, or have an administrator except the \
             application"
        }
        65_001 | 65_004 | 90_094 => {
            "nobody has consented to the application's delegated permissions: \
             OnlineMeetings.ReadWrite, and Calendars.ReadWrite where api = \"calendar-event\"; see \
             that the app registration has them (API permissions, Microsoft Graph, Delegated \
             permissions), have an administrator consent where users may not, and run `meetbridge \
             login`"
        }
        70_000 | 70_008 | 700_082 | 70_043 | 50_173 | 50_089 | 54_005 => SIGN_IN_ANEW,
        _ => return None,
    })
}

/// What to do about an OAuth error that stays until a person acts; `None` for an unknown one.
pub(super) fn by_error(error: &str, sign_in: &SignIn) -> Option<Advice> {
    let person = matches!(sign_in, SignIn::DeviceCode { .. });
    let text = match error {
        // Whatever the number says: this refresh token is of no use any more.
        "invalid_grant" if person => {
            return Some(Advice {
                text: SIGN_IN_ANEW.to_owned(),
                pause: Pause::Replaced,
            });
        }
        "interaction_required" | "consent_required" if person => {
            "the person has to act; run `meetbridge login`".to_owned()
        }
        "invalid_client" if person => PUBLIC_CLIENT.to_owned(),
        "invalid_client" => {
            format!("the application was not accepted; check `client-id` and {sign_in}")
        }
        "unauthorized_client" => "the application may not do this; check `client-id` and that the \
                                  app registration is in this tenant"
            .to_owned(),
        "invalid_scope" | "invalid_resource" => "check `graph-url` or `cloud`".to_owned(),
        "invalid_grant" | "interaction_required" | "consent_required" => {
            "a person has to act in Entra: look at the application's sign-in log".to_owned()
        }
        "unsupported_grant_type" | "invalid_request" => {
            "check `tenant`, `client-id` and `authority-url`".to_owned()
        }
        _ => return None,
    };
    Some(Advice {
        text,
        pause: Pause::Slow,
    })
}

fn untimely(sign_in: &SignIn) -> String {
    if matches!(sign_in, SignIn::FederatedToken(_)) {
        return format!(
            "the token in {sign_in} is outside its time; see that what issues it writes a fresh one \
             there, and set this machine's clock by a time server"
        );
    }
    format!(
        "the assertion made from {sign_in} is outside its time; set this machine's clock by a time \
         server"
    )
}
