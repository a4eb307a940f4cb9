//! Whose conference a URL joins, by the host it really leads to and a path that joins something.
//!
//! Hosts are compared as whole domain labels. A provider's pages about itself, its help and its dial-in
//! lists are no conference. Programs that anybody can run (Jitsi, BigBlueButton, Nextcloud Talk) are told
//! by host names and paths that only they use.

use url::{Host, Url};

use crate::ical::event::Provider;

/// Hosts of Teams: worldwide, for private accounts, in national clouds.
const TEAMS: [&str; 9] = [
    "teams.microsoft.com",
    "teams.live.com",
    "teams.cloud.microsoft",
    "gov.teams.microsoft.us",
    "dod.teams.microsoft.us",
    "gov.teams.microsoft.com",
    "dod.teams.microsoft.com",
    "teams.microsoftonline.cn",
    "teams.microsoft.us",
];
/// Where the path of a Teams link, or what follows its `#`, begins.
const TEAMS_PATHS: [&str; 2] = ["/l/meetup-join/", "/meet/"];
/// Whereby's own pages, where a room's name would stand.
const WHEREBY_PAGES: [&str; 16] = [
    "about",
    "blog",
    "business",
    "contact",
    "embedded",
    "information",
    "jobs",
    "login",
    "org",
    "press",
    "pricing",
    "product",
    "sign-up",
    "tools",
    "user",
    "terms",
];

/// Whose conference `url` joins.
pub(super) fn of(url: &str) -> Option<Provider> {
    let url = Url::parse(url).ok()?;
    let Host::Domain(host) = url.host()? else {
        return None;
    };
    if !matches!(url.scheme(), "https" | "http") {
        return None;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let link = Link {
        host,
        path: url.path(),
        url: &url,
    };
    let known = [
        (Provider::Teams, link.is_teams()),
        (Provider::Meet, link.is_meet()),
        (Provider::Zoom, link.is_zoom()),
        (Provider::Webex, link.is_webex()),
        (Provider::Whereby, link.is_whereby()),
        (Provider::Chime, link.is_chime()),
        (Provider::GoTo, link.is_go_to()),
        (Provider::BigBlueButton, link.is_big_blue_button()),
        (Provider::Jitsi, link.is_jitsi()),
        (Provider::Talk, link.is_talk()),
    ];
    known
        .into_iter()
        .find_map(|(provider, joins)| joins.then_some(provider))
}

struct Link<'a> {
    host: &'a str,
    path: &'a str,
    url: &'a Url,
}

impl Link<'_> {
    /// Whether the host is this domain or stands below it.
    fn below(&self, domain: &str) -> bool {
        self.host
            .strip_suffix(domain)
            .is_some_and(|left| left.is_empty() || left.ends_with('.'))
    }

    /// The first label of a host that has at least three.
    fn subdomain(&self) -> Option<&str> {
        let (label, domain) = self.host.split_once('.')?;
        domain.contains('.').then_some(label)
    }

    /// What follows one of these beginnings of the path, if anything does.
    fn behind(&self, starts: &[&str]) -> Option<&str> {
        let behind = starts
            .iter()
            .find_map(|start| self.path.strip_prefix(start))?;
        Some(behind).filter(|behind| !behind.trim_matches('/').is_empty())
    }

    /// The path, if it is one name of letters, digits and signs, such as a room has.
    fn room(&self) -> Option<&str> {
        let room = self.path.strip_prefix('/')?;
        let room = room.strip_suffix('/').unwrap_or(room);
        let formed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_%".contains(&byte);
        (!room.is_empty() && room.bytes().all(formed)).then_some(room)
    }

    fn is_teams(&self) -> bool {
        if !TEAMS.contains(&self.host) {
            return false;
        }
        // The page that asks whether to open the program has the link as a parameter.
        let launched = || {
            let mut pairs = self.url.query_pairs().filter(|(name, _)| name == "url");
            self.path.starts_with("/dl/launcher/")
                && pairs.any(|(_, inner)| TEAMS_PATHS.iter().any(|path| inner.contains(path)))
        };
        let fragment = self.url.fragment().unwrap_or("");
        self.behind(&TEAMS_PATHS).is_some()
            || TEAMS_PATHS.iter().any(|path| fragment.starts_with(path))
            || launched()
    }

    fn is_meet(&self) -> bool {
        match self.host {
            "meet.google.com" => self.behind(&["/"]).is_some_and(|path| {
                // Its pages about itself; a conference has a code or a name behind `lookup`.
                !["about", "new", "landing", "tel"].contains(&path.trim_end_matches('/'))
                    && !path.starts_with("tel/")
            }),
            "hangouts.google.com" | "plus.google.com" => {
                self.behind(&["/hangouts/_/", "/call/"]).is_some()
            }
            _ => false,
        }
    }

    fn is_zoom(&self) -> bool {
        let domains = [
            "zoom.us",
            "zoomgov.com",
            "zoom.com",
            "zoom.com.cn",
            "zoom-x.de",
        ];
        let joins = [
            "/j/",
            "/my/",
            "/s/",
            "/w/",
            "/wc/",
            "/meeting/",
            "/webinar/",
        ];
        let pages = [
            "support",
            "help",
            "blog",
            "developers",
            "marketplace",
            "explore",
            "learning",
        ];
        domains.iter().any(|domain| self.below(domain))
            && !self.subdomain().is_some_and(|label| pages.contains(&label))
            && self.behind(&joins).is_some()
    }

    fn is_webex(&self) -> bool {
        let pages = [
            "www",
            "help",
            "support",
            "developer",
            "status",
            "blog",
            "apphub",
            "community",
        ];
        self.below("webex.com")
            && self
                .subdomain()
                .is_some_and(|label| !pages.contains(&label))
            && self.path.len() > 1
    }

    fn is_whereby(&self) -> bool {
        let page = |room: &str| WHEREBY_PAGES.contains(&room.to_ascii_lowercase().as_str());
        let pages = ["docs", "help", "support", "status", "www", "blog", "api"];
        match self.host {
            "whereby.com" | "appear.in" => self.room().is_some_and(|room| !page(room)),
            _ => {
                self.below("whereby.com")
                    && self
                        .subdomain()
                        .is_some_and(|label| !pages.contains(&label))
                    && self.room().is_some()
            }
        }
    }

    fn is_chime(&self) -> bool {
        let digits = |room: &str| room.len() >= 8 && room.bytes().all(|b| b.is_ascii_digit());
        matches!(self.host, "chime.aws" | "app.chime.aws")
            && (self.room().is_some_and(digits)
                || self.behind(&["/meetings/", "/check/"]).is_some())
    }

    fn is_go_to(&self) -> bool {
        let digits = |room: &str| room.len() >= 6 && room.bytes().all(|b| b.is_ascii_digit());
        match self.host {
            "meet.goto.com" => self.room().is_some_and(digits),
            "gotomeet.me" | "www.gotomeet.me" => self.room().is_some(),
            "gotomeeting.com" | "www.gotomeeting.com" => self.behind(&["/join/"]).is_some(),
            _ if self.below("gotomeeting.com") => {
                let asked = |(name, id): (_, std::borrow::Cow<'_, str>)| {
                    name == "meetingid" && !id.is_empty()
                };
                self.behind(&["/join/"]).is_some() || self.url.query_pairs().any(asked)
            }
            _ => {
                self.below("gotowebinar.com")
                    && self.behind(&["/register/", "/join/", "/rt/"]).is_some()
            }
        }
    }

    /// Its interface under any name; its front end Greenlight where the host is named for it, or where a
    /// room has the form that Greenlight gives it: groups of three letters or digits.
    fn is_big_blue_button(&self) -> bool {
        if self.path.contains("/bigbluebutton/api/join") {
            return true;
        }
        let named = self.subdomain().is_some_and(|label| {
            let label = label.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
            ["bbb", "bigbluebutton", "greenlight"].contains(&label)
        }) || self.below("bigbluebutton.org") && self.subdomain() == Some("demo");
        let formed = |room: &str| {
            let groups: Vec<&str> = room.split('-').collect();
            let group = |g: &&str| g.len() == 3 && g.bytes().all(|b| b.is_ascii_alphanumeric());
            (3..=4).contains(&groups.len()) && groups.iter().all(group)
        };
        let starts = ["/b/", "/rooms/", "/gl/", "/html5client/join"];
        let Some(room) = self.behind(&starts) else {
            return false;
        };
        named || room.split('/').next().is_some_and(formed)
    }

    fn is_jitsi(&self) -> bool {
        if matches!(self.host, "meet.jit.si" | "8x8.vc") {
            let file = self.path.starts_with("/static/") || self.path.contains(".html");
            return self.behind(&["/"]).is_some() && !file;
        }
        let named = self.subdomain() == Some("jitsi") || self.host.starts_with("meet.jitsi.");
        named && !self.below("jitsi.org") && !self.below("github.io") && self.room().is_some()
    }

    /// A call of Nextcloud Talk, `/call/TOKEN` or `/index.php/call/TOKEN` in any folder. Without
    /// `index.php` the host has to be named for it, or the token to look like one.
    fn is_talk(&self) -> bool {
        let Some((folder, token)) = self.path.split_once("/call/") else {
            return false;
        };
        let token = token.strip_suffix('/').unwrap_or(token);
        let formed = token.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !formed || !(6..=32).contains(&token.len()) {
            return false;
        }
        let mut labels = self.host.split(['.', '-']);
        let named =
            labels.any(|label| ["nextcloud", "cloud", "nc", "talk", "owncloud"].contains(&label));
        let mixed = token.bytes().any(|byte| byte.is_ascii_digit())
            && token.bytes().any(|byte| byte.is_ascii_alphabetic());
        folder.ends_with("/index.php")
            || (folder.is_empty() && (named || mixed && token.len() == 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(provider: Provider, joins: &[&str], others: &[&str]) {
        for url in joins {
            assert_eq!(of(url), Some(provider), "{url}");
        }
        for url in others {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn teams() {
        check(
            Provider::Teams,
            &[
                "https://teams.microsoft.com/l/meetup-join/19%3ameeting_x%40thread.v2/0?context=%7b%7d",
                "https://teams.microsoft.com/meet/1234567890?p=abc",
                "https://TEAMS.Microsoft.com./l/meetup-join/x",
                "https://teams.live.com/meet/123?p=x",
                "https://gov.teams.microsoft.us/l/meetup-join/x",
                "https://dod.teams.microsoft.us/l/meetup-join/x",
                "https://teams.cloud.microsoft/meet/1",
                "https://teams.microsoftonline.cn/l/meetup-join/x",
                "https://teams.microsoft.com/_#/l/meetup-join/19:meeting_x@thread.v2/0?context=x",
                "https://teams.microsoft.com/v2/?meetingjoin=true#/meet/123?p=x",
                "https://teams.microsoft.com/dl/launcher/launcher.html?url=%2F_%23%2Fl%2Fmeetup-join%2F19%3Ameeting_x&type=meetup-join",
            ],
            &[
                "https://teams.microsoft.com/",
                "https://teams.microsoft.com/meet/",
                "https://teams.microsoft.com/meetingOptions/?organizerId=x",
                "https://teams.microsoft.com/l/chat/19%3Ax/0",
                "https://teams.microsoft.com/l/channel/x/General",
                "https://teams.microsoft.com/dl/launcher/launcher.html?type=chat",
                "https://dialin.teams.microsoft.com/l/meetup-join/x",
                "https://api.scheduler.teams.microsoft.com/teams/x/l/meetup-join/",
                "https://www.microsoft.com/microsoft-teams/meet/",
                "https://aka.ms/JoinTeamsMeeting",
                "https://teams.microsoft.com.evil.example/l/meetup-join/x",
                "https://xteams.microsoft.com/l/meetup-join/x",
                "https://evil.example/teams.microsoft.com/l/meetup-join/x",
                "https://teams.microsoft.com@evil.example/l/meetup-join/x",
            ],
        );
    }

    #[test]
    fn zoom() {
        check(
            Provider::Zoom,
            &[
                "https://zoom.us/j/123456",
                "http://us02web.zoom.us/j/123?pwd=x",
                "https://zoom.us:443/my/room",
                "https://agency.zoomgov.com/j/1",
                "https://acme.zoom.com/w/1",
                "https://zoom.com.cn/j/1",
                "https://acme.zoom-x.de/j/1",
                "https://acme.zoom.us/wc/join/1",
            ],
            &[
                "https://zoom.us/",
                "https://zoom.us/j/",
                "https://zoom.us/u/abc",
                "https://zoom.us/pricing",
                "https://zoom.us/meetings",
                "https://zoom.us/download",
                "https://www.zoom.com/en/products/virtual-meetings/",
                "https://support.zoom.us/hc/en-us",
                "https://support.zoom.com/j/1",
                "https://blog.zoom.us/my/story",
                "https://zoom.us.evil.example/j/1",
                "https://evilzoom.us/j/1",
                "https://zoom.us@evil.example/j/1",
                "ftp://zoom.us/j/1",
            ],
        );
    }

    #[test]
    fn meet_and_webex() {
        check(
            Provider::Meet,
            &[
                "https://meet.google.com/abc-defg-hij",
                "https://meet.google.com/lookup/abc?authuser=0",
                "https://hangouts.google.com/hangouts/_/x",
                "https://plus.google.com/hangouts/_/x",
            ],
            &[
                "https://meet.google.com/",
                "https://meet.google.com/landing",
                "https://meet.google.com/tel/abc-defg-hij?pin=1",
                "https://tel.meet/abc-defg-hij?pin=1",
                "https://support.google.com/a/users/answer/9282720",
                "https://meet.google.com.evil.example/abc",
            ],
        );
        check(
            Provider::Webex,
            &[
                "https://acme.webex.com/acme/j.php?MTID=m1",
                "https://acme.webex.com/meet/jane",
            ],
            &[
                "https://help.webex.com/article/1",
                "https://www.webex.com/downloads.html",
                "https://webex.com/pricing",
                "https://acme.webex.com/",
                "https://acme.webex.com.evil.example/meet/jane",
            ],
        );
    }

    #[test]
    fn programs_that_anybody_runs() {
        check(
            Provider::Jitsi,
            &[
                "https://meet.jit.si/Room",
                "https://8x8.vc/vpaas-magic/Room",
                "https://jitsi.example.org/TeamMeeting",
                "https://meet.jitsi.example.org/x",
            ],
            &[
                "https://meet.jit.si/",
                "https://meet.jit.si/static/dialInInfo.html?room=x",
                "https://notmeet.jit.si/x",
                "https://jitsi.org/downloads/",
                "https://jitsi.github.io/handbook",
                "https://jitsi.example.org/",
                "https://jitsi.example.org/docs/page.html",
            ],
        );
        check(
            Provider::BigBlueButton,
            &[
                "https://bbb.example.org/b/ann-x7k-2pq",
                "https://bbb2.example.org/rooms/abc-def-ghi-jkl/join",
                "https://video.example.org/b/ann-x7k-2pq",
                "https://conf.example.org/rooms/abc-def-ghi-jkl/join",
                "https://x.example.org/bigbluebutton/api/join?meetingID=1&checksum=x",
                "https://demo.bigbluebutton.org/rooms/abc-def-ghi-jkl",
            ],
            &[
                "https://bigbluebutton.org/features/",
                "https://docs.bigbluebutton.org/greenlight/overview",
                "https://bbb.org/b/xyz",
                "https://example.org/b/about",
                "https://hotel.example.org/rooms/double/join",
                "https://bbb.example.org/",
                "https://bbb.example.org/b/",
            ],
        );
        check(
            Provider::Talk,
            &[
                "https://cloud.example.org/call/abcdefgh",
                "https://example.org/call/x7kq2mzn",
                "https://example.org/nextcloud/index.php/call/x7kq2mzn",
                "https://example.org/index.php/call/abcdefgh#/",
            ],
            &[
                "https://example.org/call/support",
                "https://example.org/call/12345678",
                "https://example.org/call/",
                "https://cloud.example.org/call/a/b",
                "https://cloud.example.org/apps/calls/abcdefgh",
                "https://example.org/shop/call/x7kq2mzn",
                "https://cloud.example.org/s/x7kq2mzn",
            ],
        );
    }

    #[test]
    fn other_services() {
        check(
            Provider::Whereby,
            &[
                "https://whereby.com/my-room",
                "https://acme.whereby.com/standup?roomKey=x",
                "https://appear.in/room",
            ],
            &[
                "https://whereby.com/",
                "https://whereby.com/pricing",
                "https://whereby.com/information/tos/",
                "https://docs.whereby.com/reference",
                "https://whereby.com.evil.example/my-room",
            ],
        );
        check(
            Provider::Chime,
            &[
                "https://chime.aws/1234567890",
                "https://app.chime.aws/meetings/1234567890",
            ],
            &[
                "https://chime.aws/dialinnumbers/",
                "https://aws.amazon.com/chime/download/",
                "https://app.chime.aws/",
                "https://chime.aws.evil.example/1234567890",
            ],
        );
        check(
            Provider::GoTo,
            &[
                "https://meet.goto.com/123456789",
                "https://global.gotomeeting.com/join/123456789",
                "https://www.gotomeeting.com/join/123456789",
                "https://gotomeet.me/jane",
                "https://app.gotomeeting.com/?meetingId=&meetingid=123",
                "https://attendee.gotowebinar.com/register/123",
            ],
            &[
                "https://www.goto.com/meeting",
                "https://meet.goto.com/install",
                "https://support.goto.com/meeting/help/join",
                "https://global.gotomeeting.com/install/123",
                "https://www.gotomeeting.com/features",
                "https://gotomeeting.com.evil.example/join/1",
            ],
        );
    }

    #[test]
    fn what_is_no_url_joins_nothing() {
        for url in [
            "",
            "https://",
            "https://[::1/j/1",
            "https://[::1]/index.php/call/abcdefgh",
            "https://127.0.0.1/j/1",
            "https://evil.example/?x=https%3A%2F%2Fzoom.us%2Fj%2F1",
            "https://evil.example\\@zoom.us/j/1",
            "mailto:x@zoom.us",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
    }
}
