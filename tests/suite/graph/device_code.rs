//! A person signs in by device code: to whom meetings belong then, what becomes of the refresh token,
//! and what is said when it is of no use any more.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use meetbridge::meeting::graph::{DeviceLogin, LoginError};
use meetbridge::simulator::RefreshTokens;
use serde_json::{Value, json};

use super::*;

/// A world in which people sign in, and a state directory that outlives `graph()`.
struct Desk {
    world: World,
    state: tempfile::TempDir,
}

impl Desk {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self {
            world: World::with(change).await,
            state: tempfile::tempdir().unwrap(),
        }
    }

    fn directory(&self) -> PathBuf {
        self.state.path().join("tokens")
    }

    fn file(&self) -> PathBuf {
        self.directory().join("graph.signed-in.json")
    }

    fn settings(&self) -> GraphSettings {
        GraphSettings {
            sign_in: SignIn::DeviceCode {
                directory: self.directory(),
            },
            ..self.world.settings()
        }
    }

    fn graph(&self) -> GraphMeetings {
        self.graph_by(self.world.clock.clone())
    }

    fn graph_by(&self, clock: Arc<dyn Clock>) -> GraphMeetings {
        let random = self.world.random.clone();
        GraphMeetings::new(
            self.settings(),
            client(),
            self.world.windows(),
            clock,
            random,
        )
    }

    fn login(&self) -> DeviceLogin {
        let world = &self.world;
        let (clock, random) = (world.clock.clone(), world.random.clone());
        DeviceLogin::new(self.settings(), client(), world.windows(), clock, random).unwrap()
    }

    /// `meetbridge login`, answered by `who`.
    async fn sign_in(&self, who: &str) {
        let login = self.login();
        let prompt = login.begin().await.unwrap();
        assert!(self.world.simulator.approve(&prompt.code, who));
        let person = login.wait(&prompt).await.unwrap();
        assert_eq!(person.user.as_str(), who);
        login.keep(person).await.unwrap();
    }

    fn kept(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap()
    }

    fn tokens(&self) -> u64 {
        self.world.requests(Endpoint::Token)
    }

    fn pass(&self, seconds: u64) {
        self.world.clock.pass(Duration::from_secs(seconds));
    }

    /// Changes what is kept.
    fn edit(&self, key: &str, value: &Value) {
        let mut kept = self.kept();
        kept[key] = value.clone();
        std::fs::write(self.file(), kept.to_string()).unwrap();
    }
}

fn of(who: &str, key: &str) -> Wanted {
    Wanted {
        organizer: organizer(who),
        ..wanted(key)
    }
}

#[track_caller]
fn refusal(error: MeetingError, words: &[&str]) {
    let MeetingError::Credential(text) = error else {
        panic!("{error:?}");
    };
    for words in words {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[tokio::test]
async fn a_person_signs_in_and_every_call_is_made_as_them() {
    let desk = Desk::new().await;
    // In person, no access policy is needed.
    let me = ORGANIZER_WITHOUT_POLICY;
    desk.sign_in(me).await;
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(
        (mode(&desk.directory()), mode(&desk.file())),
        (0o700, 0o600)
    );
    assert_eq!(desk.kept()["user"], me);
    assert_eq!(desk.world.requests(Endpoint::DeviceCode), 1);

    let graph = desk.graph();
    let mine = of(me, "a/b c");
    let made = graph.ensure(&mine).await.unwrap();
    assert!(made.created);
    let moved = Wanted {
        span: later("a").span,
        ..mine.clone()
    };
    assert!(!graph.ensure(&moved).await.unwrap().created);
    let unknown = Meeting {
        id: None,
        ..made.meeting.clone()
    };
    graph.update(&unknown, &mine).await.unwrap();
    let settings = Options(vec![Setting::Chat(Chat::Limited)]);
    graph.apply(&made.meeting, &mine, &settings).await.unwrap();
    // The answer to a PATCH may be empty; then the meeting is read.
    desk.world.script(
        Endpoint::Patch,
        Effect::Answer(Scripted {
            status: 204,
            body: None,
            retry_after: None,
        }),
    );
    graph.update(&made.meeting, &moved).await.unwrap();
    let external_id = &mine.external_id;
    for meeting in [&unknown, &made.meeting] {
        graph
            .delete(meeting, &mine.organizer, external_id)
            .await
            .unwrap();
    }
    let snapshot = desk.world.simulator.snapshot();
    for endpoint in [
        Endpoint::CreateOrGet,
        Endpoint::Filter,
        Endpoint::Patch,
        Endpoint::Get,
        Endpoint::Delete,
    ] {
        assert!(snapshot.requests(endpoint) > 0, "{endpoint:?}");
    }
    assert_eq!(desk.tokens(), 2, "one for the code, one for the meetings");
}

#[tokio::test]
async fn a_sign_in_waits_for_the_person_as_slowly_as_it_is_told() {
    let desk = Desk::with(|settings| settings.entra.slow_down = true).await;
    let login = desk.login();
    desk.world.script(Endpoint::DeviceCode, Effect::status(503));
    desk.world
        .script(Endpoint::DeviceCode, Effect::throttled(2));
    let prompt = login.begin().await.unwrap();
    assert_eq!(desk.world.requests(Endpoint::DeviceCode), 3);
    assert_eq!(
        desk.world.simulator.waiting_sign_ins(),
        [prompt.code.as_str()]
    );
    assert!(prompt.address.as_str().ends_with("/_simulator/sign-in"));
    assert!(!format!("{prompt:?}").contains(&prompt.code));

    // Slower after `slow_down`, after trouble, and not before Retry-After has passed.
    let slow_down = Effect::Answer(Scripted {
        status: 400,
        body: Some(json!({"error": "slow_down"})),
        retry_after: None,
    });
    let began = desk.world.clock.elapsed();
    desk.world.script(Endpoint::Token, slow_down);
    desk.world.script(Endpoint::Token, Effect::status(500));
    desk.world.script(Endpoint::Token, Effect::throttled(60));
    desk.world.script(Endpoint::Token, Effect::Aadsts(70_016));
    assert!(desk.world.simulator.approve(&prompt.code, ORGANIZER));
    let person = login.wait(&prompt).await.unwrap();
    assert_eq!(desk.tokens(), 5);
    let waited = desk.world.clock.elapsed() - began;
    // 5, 10, 15, then 20s until a minute has passed, then once more after `pending`.
    assert_eq!(waited, Duration::from_secs(5 + 10 + 15 + 3 * 20 + 20));
    assert!(!desk.file().exists(), "nothing is kept before it is said");
    login.keep(person).await.unwrap();
}

#[tokio::test]
async fn a_sign_in_that_comes_to_nothing_leaves_everything_as_it_was() {
    let desk = Desk::new().await;
    desk.sign_in(ORGANIZER).await;
    let before = desk.kept();
    let login = desk.login();
    let prompt = login.begin().await.unwrap();
    assert!(desk.world.simulator.decline(&prompt.code));
    assert_eq!(login.wait(&prompt).await.unwrap_err(), LoginError::Declined);

    let prompt = login.begin().await.unwrap();
    assert_eq!(login.wait(&prompt).await.unwrap_err(), LoginError::Expired);
    let expired = LoginError::Expired.to_string();
    assert!(
        expired.contains("run `meetbridge login` again"),
        "{expired}"
    );

    for (number, words) in [
        (70_018, "run `meetbridge login` again"),
        (70_019, "run `meetbridge login` again"),
        (53_003, "or forbids device codes"),
        (65_001, "delegated permissions: OnlineMeetings.ReadWrite"),
        (7_000_218, "Allow public client flows"),
    ] {
        let prompt = login.begin().await.unwrap();
        desk.world.script(Endpoint::Token, Effect::Aadsts(number));
        let text = login.wait(&prompt).await.unwrap_err().to_string();
        assert!(text.contains(words), "{number}: {text}");
    }
    // Without a refresh token, or without the person's id, there is no sign-in to keep.
    let token = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ0"});
    for (more, words) in [
        (json!({}), "no object id"),
        (
            json!({"id_token": "e30.eyJvaWQiOiIxMTExMTExMS0xMTExLTExMTEtMTExMS0xMTExMTExMTExMTEifQ.x"}),
            "no refresh token",
        ),
    ] {
        let mut body = token.clone();
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let prompt = login.begin().await.unwrap();
        let answer = Effect::Answer(Scripted {
            status: 200,
            body: Some(body),
            retry_after: None,
        });
        desk.world.script(Endpoint::Token, answer);
        let text = login.wait(&prompt).await.unwrap_err().to_string();
        assert!(text.contains(words) && !text.contains("eyJ"), "{text}");
    }
    // An address that is no safe place for a password, and a code that a terminal would obey.
    let begun = json!({"device_code": "d", "user_code": "ABC", "verification_uri": "https://a.example/",
                       "expires_in": 900, "interval": 5});
    for (key, value) in [
        ("verification_uri", json!("javascript:alert(1)")),
        (
            "verification_uri",
            json!(format!("https://a.example/{}", "x".repeat(300))),
        ),
        ("user_code", json!("\u{1b}[2J")),
        ("user_code", json!("A".repeat(33))),
        ("user_code", Value::Null),
        ("device_code", json!(5)),
    ] {
        let mut body = begun.clone();
        body[key] = value;
        let fault = Fault::next(
            Endpoint::DeviceCode,
            Effect::Answer(Scripted {
                status: 200,
                body: Some(body),
                retry_after: None,
            }),
        );
        desk.world.simulator.script(fault.times(Times::N(4)));
        let error = login.begin().await.unwrap_err();
        assert!(matches!(error, LoginError::Busy(_)), "{key}: {error:?}");
    }
    desk.world
        .simulator
        .change(|settings| settings.app.public_client = false);
    let text = login.begin().await.unwrap_err().to_string();
    assert!(text.contains("Allow public client flows"), "{text}");
    assert_eq!(desk.kept(), before);
}

#[tokio::test]
async fn a_refresh_token_is_replaced_early_and_outlives_the_process() {
    for manner in [
        RefreshTokens::Rotated,
        RefreshTokens::UsedUp,
        RefreshTokens::Kept,
    ] {
        let desk = Desk::with(|settings| settings.entra.refresh = manner).await;
        desk.sign_in(ORGANIZER).await;
        let first = desk.kept();
        let graph = desk.graph();
        graph.ensure(&wanted("a")).await.unwrap();
        let second = desk.kept();
        assert_eq!(second["user"], first["user"]);
        let is_new = manner != RefreshTokens::Kept;
        assert_eq!(second["refresh_token"] != first["refresh_token"], is_new);
        if is_new {
            assert_eq!(second["previous"], first["refresh_token"], "{manner:?}");
        }
        // Ten minutes before its end the access token is used yet, four minutes before, renewed.
        let life = desk.world.simulator.settings().token_lifetime.as_secs();
        for (seconds, tokens) in [(life - 600, 2), (360, 3)] {
            desk.pass(seconds);
            graph.ensure(&wanted("a")).await.unwrap();
            assert_eq!(desk.tokens(), tokens, "{manner:?}");
        }
        assert_eq!(
            desk.kept()["refresh_token"] != second["refresh_token"],
            is_new
        );
        for _ in 0..3 {
            desk.graph().ensure(&wanted("a")).await.unwrap();
        }
        assert_eq!(desk.tokens(), 6, "{manner:?}");
        let names: Vec<_> = desk.directory().read_dir().unwrap().collect();
        assert_eq!(names.len(), 2, "the file and its lock: {names:?}");
    }
}

#[tokio::test]
async fn a_crash_between_answer_and_store_is_survived() {
    let desk = Desk::new().await;
    desk.sign_in(ORGANIZER).await;
    // Killed before it stored the new token: the old one is there.
    let before = std::fs::read(desk.file()).unwrap();
    desk.graph().ensure(&wanted("a")).await.unwrap();
    std::fs::write(desk.file(), &before).unwrap();
    desk.graph().ensure(&wanted("a")).await.unwrap();

    // Stored, but refused: the one before is tried, once, and goes on.
    let good = desk.kept()["refresh_token"].clone();
    desk.edit("refresh_token", &json!("1.refused"));
    desk.edit("previous", &good);
    let tokens = desk.tokens();
    desk.graph().ensure(&wanted("a")).await.unwrap();
    assert_eq!(desk.tokens(), tokens + 2);
    assert_eq!(desk.kept()["previous"], good);
    assert_ne!(desk.kept()["refresh_token"], "1.refused");

    desk.edit("refresh_token", &json!("1.refused"));
    desk.edit("previous", &json!("1.refused-too"));
    let (tokens, graph) = (desk.tokens(), desk.graph());
    for _ in 0..3 {
        let error = graph.ensure(&wanted("a")).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("1.refused"));
        refusal(error, &["AADSTS70000", "run `meetbridge login`"]);
        desk.pass(24 * 3600);
    }
    assert_eq!(desk.tokens(), tokens + 2, "neither is tried again");
    desk.edit("previous", &good);
    desk.edit("refresh_token", &good);
    desk.pass(30);
    graph.ensure(&wanted("a")).await.unwrap();
}

#[tokio::test]
async fn a_revoked_sign_in_is_told_and_the_next_one_taken_over_without_a_restart() {
    let desk = Desk::new().await;
    desk.sign_in(ORGANIZER).await;
    let graph = desk.graph();
    graph.ensure(&wanted("a")).await.unwrap();
    desk.world.simulator.revoke_refresh_tokens(50_173);
    let life = desk.world.simulator.settings().token_lifetime.as_secs();
    // A renewal that is refused does no harm while the access token holds.
    desk.pass(life - 200);
    graph.ensure(&wanted("a")).await.unwrap();
    desk.pass(200);
    for _ in 0..2 {
        let error = graph.ensure(&wanted("a")).await.unwrap_err();
        refusal(
            error,
            &["AADSTS50173", "was revoked; run `meetbridge login`"],
        );
    }
    desk.sign_in(ORGANIZER).await;
    desk.pass(30);
    graph.ensure(&wanted("a")).await.unwrap();

    // By its error alone, whatever its number.
    desk.pass(life);
    let unknown = Effect::Answer(Scripted {
        status: 400,
        body: Some(json!({"error": "invalid_grant", "error_description": "private"})),
        retry_after: None,
    });
    let fault = Fault::next(Endpoint::Token, unknown);
    desk.world.simulator.script(fault.times(Times::N(2)));
    let error = graph.ensure(&wanted("a")).await.unwrap_err();
    refusal(error, &["invalid_grant", "run `meetbridge login`"]);
}

#[tokio::test]
async fn without_a_sign_in_nothing_is_asked_until_there_is_one() {
    let desk = Desk::new().await;
    let graph = desk.graph();
    let error = graph.ensure(&wanted("a")).await.unwrap_err();
    refusal(error, &["nobody is signed in", "run `meetbridge login`"]);
    assert_eq!(desk.tokens(), 0);
    desk.sign_in(ORGANIZER).await;
    desk.pass(30);
    graph.ensure(&wanted("a")).await.unwrap();

    // No token is shown to an authority, a tenant or for an application that did not issue it.
    let tokens = desk.tokens();
    let real = desk.settings();
    let others = [
        GraphSettings {
            tenant: "other.example".into(),
            ..real.clone()
        },
        GraphSettings {
            client_id: "33333333-3333-4333-8333-333333333333".into(),
            ..real.clone()
        },
        GraphSettings {
            authority_url: real.authority_url.join("/elsewhere").unwrap(),
            ..real
        },
    ];
    for settings in others {
        let world = &desk.world;
        let (clock, random) = (world.clock.clone(), world.random.clone());
        let graph = GraphMeetings::new(settings, client(), world.windows(), clock, random);
        let error = graph.ensure(&wanted("a")).await.unwrap_err();
        refusal(
            error,
            &["another tenant, application or cloud", "meetbridge login"],
        );
    }
    assert_eq!(desk.tokens(), tokens);
}

#[tokio::test]
async fn a_person_makes_only_their_own_meetings_and_another_may_take_over() {
    let desk = Desk::new().await;
    desk.sign_in(ORGANIZER_WITHOUT_DIAL_IN).await;
    let graph = desk.graph();
    for _ in 0..2 {
        let error = graph.ensure(&wanted("a")).await.unwrap_err();
        let MeetingError::Organizer(text) = error else {
            panic!("{error:?}");
        };
        for words in [
            &format!("organizer {ORGANIZER}: somebody else"),
            &format!("set `organizer` to {ORGANIZER_WITHOUT_DIAL_IN}"),
            "`meetbridge login`",
            "client-secret-file",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    assert_eq!(desk.world.requests(Endpoint::CreateOrGet), 0);
    let theirs = of(ORGANIZER_WITHOUT_DIAL_IN, "a");
    graph.ensure(&theirs).await.unwrap();

    // While the access token is good, another signs in.
    desk.sign_in(ORGANIZER).await;
    desk.pass(30);
    graph.ensure(&wanted("a")).await.unwrap();
    let error = graph.ensure(&theirs).await.unwrap_err();
    assert!(matches!(error, MeetingError::Organizer(_)), "{error:?}");
}

#[tokio::test]
async fn what_graph_and_entra_refuse_is_told_for_a_person() {
    let desk = Desk::with(|settings| {
        for organizer in &mut settings.organizers {
            organizer.licensed = false;
        }
    })
    .await;
    desk.sign_in(ORGANIZER).await;
    let error = desk.graph().ensure(&wanted("a")).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("delegated permission OnlineMeetings.ReadWrite"),
        "{text}"
    );
    assert!(
        text.contains("`meetbridge login`") && !text.contains("olicy"),
        "{text}"
    );

    for (number, words) in [
        (7_000_218, "Allow public client flows"),
        (700_025, "Allow public client flows"),
        (50_034, "not in this tenant"),
        (50_057, "mend the account, then run `meetbridge login`"),
        (50_076, "run `meetbridge login` again"),
        (65_001, "delegated permissions: OnlineMeetings.ReadWrite"),
        (700_082, "run `meetbridge login`"),
        (70_011, "does not know the Graph"),
    ] {
        let desk = Desk::new().await;
        desk.sign_in(ORGANIZER).await;
        let token = desk.kept()["refresh_token"].as_str().unwrap().to_owned();
        desk.world.script(Endpoint::Token, Effect::Aadsts(number));
        let error = desk.graph().ensure(&wanted("a")).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&token));
        refusal(error, &[&format!("AADSTS{number})"), words]);
    }
}

#[tokio::test]
async fn two_processes_renew_one_after_the_other() {
    let desk = Desk::with(|settings| settings.entra.refresh = RefreshTokens::UsedUp).await;
    desk.sign_in(ORGANIZER).await;
    // Time stands still, so that neither loses patience.
    let both = [(); 2].map(|()| desk.graph_by(Arc::new(Gate::new(1))));
    let (mine, yours) = (wanted("a"), wanted("b"));
    let (one, other) = tokio::join!(both[0].ensure(&mine), both[1].ensure(&yours));
    assert!(one.unwrap().created && other.unwrap().created);
    assert_eq!(desk.tokens(), 3);
}

/// The simulator's clock; does something once, while a request is under way.
struct Meddler {
    clock: Timeless,
    deed: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Meddler {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: Timeless::default(),
            deed: Mutex::default(),
        })
    }

    fn during_the_next_request(&self, deed: impl FnOnce() + Send + 'static) {
        *self.deed.lock().unwrap() = Some(Box::new(deed));
    }
}

impl Clock for Meddler {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        if let Some(deed) = self.deed.lock().unwrap().take() {
            deed();
        }
        tokio::task::yield_now().boxed()
    }
}

async fn meddled() -> (Desk, Arc<Meddler>) {
    let meddler = Meddler::new();
    let clock = meddler.clone();
    let desk = Desk::with(move |settings| {
        settings.clock = clock;
        settings.latency = Duration::from_secs(1);
    })
    .await;
    desk.sign_in(ORGANIZER).await;
    (desk, meddler)
}

#[tokio::test]
async fn a_sign_in_during_a_renewal_is_not_overwritten() {
    let (desk, meddler) = meddled().await;
    let (file, graph) = (desk.file(), desk.graph());
    desk.sign_in(ORGANIZER).await;
    let newer = desk.kept();
    desk.sign_in(ORGANIZER).await;
    assert_ne!(desk.kept(), newer);
    let text = newer.to_string();
    meddler.during_the_next_request(move || std::fs::write(file, text).unwrap());
    graph.ensure(&wanted("a")).await.unwrap();
    assert_eq!(desk.kept(), newer);
}

#[tokio::test]
async fn a_token_is_not_used_before_the_one_beside_it_is_stored() {
    let (desk, meddler) = meddled().await;
    let (tokens, away) = (desk.directory(), desk.state.path().join("away"));
    let (from, to) = (tokens.clone(), away.clone());
    meddler.during_the_next_request(move || {
        std::fs::rename(&from, to).unwrap();
        std::fs::write(from, "in the way").unwrap();
    });
    let before = desk.tokens();
    let graph = desk.graph();
    let error = graph.ensure(&wanted("a")).await.unwrap_err();
    refusal(error, &["cannot be kept", "free space"]);
    assert_eq!(desk.world.requests(Endpoint::CreateOrGet), 0);
    assert_eq!(desk.tokens(), before + 1);

    std::fs::remove_file(&tokens).unwrap();
    std::fs::rename(&away, &tokens).unwrap();
    let stored = desk.kept();
    graph.ensure(&wanted("a")).await.unwrap();
    assert_eq!(
        desk.tokens(),
        before + 1,
        "the one that was had is stored now"
    );
    assert_eq!(desk.kept()["previous"], stored["refresh_token"]);
}
