//! The commands: parse, dispatch, exit status. Data goes to stdout, all else to stderr.

mod accounts;
mod assemble;
mod beside;
mod calendars;
mod check;
mod completions;
#[cfg(feature = "simulator")]
mod demo;
mod explain;
mod login;
mod man;
mod output;
mod plan;
mod reload;
mod resume;
mod run;
#[cfg(feature = "simulator")]
mod simulator;
mod status;
mod sync;
mod unlink;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{Config, Machine};
use crate::daemon::clock::{SystemClock, SystemRandom};
use crate::log::{self, Filter, Format, Output};
use crate::sync::Unlink;

/// Gives the events of any calendar a Microsoft Teams meeting and writes the join link back.
#[derive(Debug, Parser)]
#[command(
    name = "meetbridge",
    version,
    about,
    after_help = "Exit status: 0 done, 1 something failed, 2 bad usage, 75 try again later \
                  (the state is locked), 78 bad configuration."
)]
struct Cli {
    /// The configuration file [default: /etc/meetbridge/config.toml]
    #[arg(long, global = true, value_name = "FILE", env = "MEETBRIDGE_CONFIG")]
    config: Option<PathBuf>,

    /// What is logged: error, warn, info, debug or trace, or a filter such as "meetbridge=debug"
    #[arg(long, global = true, value_name = "FILTER", env = "MEETBRIDGE_LOG")]
    log: Option<String>,

    /// Say nothing on stderr but errors; goes before --log
    #[arg(long, short, global = true)]
    quiet: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon until SIGTERM
    ///
    /// Watches every enabled calendar and links its events as they come. SIGHUP reads the configuration
    /// and the secrets again; SIGTERM or SIGINT ends it when the passes under way are finished, a second
    /// one at once. It writes to the calendars, to Graph and to the state, and logs to stderr. It ends
    /// with 78 when the configuration is faulty, and with 75 when another one has the state.
    Run,
    /// Make one pass over everything, waiting once for what is still settling, then exit
    ///
    /// Does once what `run` does all the time: makes meetings and writes their links. Beside a running
    /// daemon, the daemon does it, and goes on when this command is broken off. `plan` shows first what
    /// it would do. It ends with 1 when anything failed or a calendar waits for `resume`.
    ///
    /// Example: meetbridge sync --calendar alice/Work
    Sync {
        /// Only this calendar
        #[arg(long, value_name = "NAME")]
        calendar: Option<String>,
        /// Bring the links that are there to what the configuration says now
        #[arg(long)]
        rewrite: bool,
    },
    /// Print what a pass would do, event by event, with the reason; change and create nothing
    ///
    /// Reads the calendars and decides each event as a pass would, brakes and budgets included, and ends
    /// with the sum. No meeting is made, no calendar written, nothing remembered. Titles are shown on a
    /// terminal only. It ends with 1 when a calendar could not be read.
    ///
    /// Examples: meetbridge plan --calendar team; meetbridge plan --unlink
    Plan {
        /// Only this calendar
        #[arg(long, value_name = "NAME")]
        calendar: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Put the events' titles into the JSON
        #[arg(long, requires = "json")]
        titles: bool,
        /// Print what `sync --rewrite` would do
        #[arg(long)]
        rewrite: bool,
        /// Print what `unlink` would take out: of the event with this UID, or of everything
        #[arg(long, value_name = "UID", num_args = 0..=1, conflicts_with = "rewrite")]
        unlink: Option<Option<String>>,
    },
    /// Print why an event is or is not linked: every rule, and what it saw
    ///
    /// Looks for the event in all enabled calendars and goes through the rules one by one. Changes
    /// nothing. The UID is given whole: one that only begins like it, or is like it, is named and not
    /// taken. It ends with 1 when no calendar holds the event.
    ///
    /// Example: meetbridge explain 'sha256:0123456789ab'
    Explain {
        /// The event's UID, or its `sha256:` form from the log
        uid: String,
    },
    /// Print the calendars of CalDAV accounts, and the table to configure them with
    Calendars(calendars::Which),
    /// Check configuration, files, permissions and systemd unit; touch no network
    ///
    /// Prints each fault with what to do about it. With --online, Entra, Graph and the calendar servers
    /// are asked, too, and still nothing is made or changed. It ends with 1 when there is an error, and
    /// with 78 when the configuration cannot be read.
    Check {
        /// Ask Entra, Graph and the calendar servers, too; make and change nothing
        #[arg(long)]
        online: bool,
    },
    /// Sign in to Graph as a person, by a code that is typed on any device (device-code = true)
    ///
    /// Shows an address and a code, waits for the sign-in and keeps the token beside the state. No
    /// meeting is made. It ends with 1 when the sign-in was declined, ran out or was broken off.
    Login,
    /// Print what needs a person, and how each calendar and organizer stands
    ///
    /// Ends with 1 when something needs a person: a calendar is frozen, waits for consent, or cannot be read
    /// and will not be by itself; a credential or organizer is refused; an event's meeting or write is. What
    /// is tried again by itself, or waits for a budget, ends with 0.
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Lift a calendar's freeze, or consent to its large first pass
    ///
    /// A calendar freezes when very many of its links vanish at once, when it was unlinked, or when its
    /// first pass would link very many events; `status` says why, `plan` what will follow. Beside a
    /// running daemon the next pass is made at once, otherwise by the next `sync` or `run`. The name of
    /// an account stands for all its calendars.
    ///
    /// Example: meetbridge resume alice/Work
    Resume {
        /// The calendar
        calendar: String,
    },
    /// Take links out again, of an event, a calendar or all: an event stays opted out, a calendar
    /// frozen until `resume`
    ///
    /// Takes out what was put in and leaves the bytes that were there before; `plan --unlink` shows it
    /// first. The meetings stay unless --end-meetings is given; one whose event is linked in another
    /// calendar, too, stays in any case. It ends with 1 when anything failed or the event is not found.
    ///
    /// Examples: meetbridge unlink --calendar team; meetbridge unlink --all --end-meetings
    Unlink {
        /// The event's UID, or its `sha256:` form from the log
        #[arg(conflicts_with = "all")]
        uid: Option<String>,
        /// Only in this calendar
        #[arg(long, value_name = "NAME", conflicts_with = "all")]
        calendar: Option<String>,
        /// In all calendars
        #[arg(long)]
        all: bool,
        /// Delete the meetings, too; otherwise they stay
        #[arg(long)]
        end_meetings: bool,
    },
    /// Print what a shell needs to complete the command line
    Completions {
        /// The shell
        shell: completions::Shell,
    },
    /// Print a manual page for `man -l -`, or write all of them
    Man {
        /// The page, such as `meetbridge-sync` or `meetbridge.toml`; with its section where that
        /// matters: `meetbridge.7`
        #[arg(default_value = "meetbridge")]
        page: String,
        /// Write all pages into this directory instead, each into man1, man5 or man7
        #[arg(long, value_name = "DIR", conflicts_with = "page")]
        directory: Option<PathBuf>,
    },
    /// Show everything at once on this machine, without any account
    #[cfg(feature = "simulator")]
    Demo {
        /// Print one event before and after, then exit
        #[arg(long)]
        once: bool,
    },
    /// Run the embedded Microsoft Graph simulator alone, for trying a configuration
    #[cfg(feature = "simulator")]
    Simulator {
        /// Where to listen; loopback only
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8765")]
        listen: std::net::SocketAddr,
        /// How long each answer takes, such as "100ms"
        #[arg(long, value_name = "DURATION", default_value = "0s")]
        latency: String,
    },
}

/// How long what still runs when a command has ended may take to end, too.
const LAST: Duration = Duration::from_secs(1);

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Everything asked for was done.
    Done,
    /// Something failed.
    Failed,
    /// The command line is faulty.
    Usage,
    /// The state is locked: try again later.
    TryAgain,
    /// The configuration (or the state's version) is faulty.
    Config,
}

impl Exit {
    /// The number that the process ends with.
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::TryAgain => 75,
            Self::Config => 78,
        }
    }

    /// What a number means; an unknown one is a failure.
    fn of(code: u8) -> Self {
        let known = [Self::Done, Self::Usage, Self::TryAgain, Self::Config];
        let found = known.into_iter().find(|exit| exit.code() == code);
        found.unwrap_or(Self::Failed)
    }

    /// This one, or the other where this one is well.
    fn or(self, other: Self) -> Self {
        match self {
            Self::Done => other,
            _ => self,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Parses the command line, runs the command and says how it ended.
pub fn main() -> ExitCode {
    quiet_panics();
    let cli = Cli::parse();
    if cli.quiet {
        output::be_quiet();
    }
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match threads {
        Ok(runtime) => runtime,
        Err(error) => {
            output::fail(&format!("the runtime cannot be started: {error}"));
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(dispatch(cli));
    // A disk that does not answer keeps no process that is to end.
    runtime.shutdown_timeout(LAST);
    exit.into()
}

/// A panic says where it happened and nothing else: its text may hold a piece of a calendar.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        output::fail(&format!("internal error at {place}; please report it"));
    }));
}

async fn dispatch(cli: Cli) -> Exit {
    let machine = Machine::of_process();
    let context = Context {
        config_file: machine.config_path(cli.config),
        machine,
        log: match cli.quiet {
            true => Some("error".to_owned()),
            false => cli.log,
        },
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
    };
    match cli.command {
        Command::Run => run::run(&context).await,
        Command::Sync { calendar, rewrite } => {
            sync::sync(&context, calendar.as_deref(), rewrite).await
        }
        Command::Plan {
            calendar,
            json,
            titles,
            rewrite,
            unlink,
        } => {
            let what = |uid: Option<String>| uid.map_or(Unlink::All, Unlink::Event);
            let asked = plan::Asked {
                json,
                titles,
                rewrite,
                unlink: unlink.map(what),
            };
            plan::plan(&context, calendar.as_deref(), asked).await
        }
        Command::Explain { uid } => explain::explain(&context, &uid).await,
        Command::Calendars(which) => calendars::calendars(&context, &which).await,
        Command::Check { online } => check::check(&context, online).await,
        Command::Login => login::login(&context).await,
        Command::Status { json } => status::status(&context, json).await,
        Command::Resume { calendar } => resume::resume(&context, &calendar).await,
        Command::Unlink {
            uid,
            calendar,
            all,
            end_meetings,
        } => match unlink::asked(uid, calendar, all, end_meetings) {
            Ok(asked) => unlink::unlink(&context, asked).await,
            Err(exit) => exit,
        },
        Command::Completions { shell } => completions::completions(shell),
        Command::Man { page, directory } => man::man(&page, directory.as_deref()),
        #[cfg(feature = "simulator")]
        Command::Demo { once } => demo::demo(&context, once).await,
        #[cfg(feature = "simulator")]
        Command::Simulator { listen, latency } => {
            simulator::simulator(&context, listen, &latency).await
        }
    }
}

/// What every command is given.
struct Context {
    config_file: PathBuf,
    machine: Machine,
    log: Option<String>,
    clock: Arc<SystemClock>,
    random: Arc<SystemRandom>,
}

impl Context {
    /// Reads the configuration; its faults are printed, all of them.
    fn config(&self) -> Result<Config, Exit> {
        Config::load(&self.config_file, &self.machine).map_err(|faults| {
            output::fail_by(&faults);
            Exit::Config
        })
    }

    /// Which lines are logged: what the command line says goes before the configuration.
    fn filter(&self, config: &Config) -> Result<Filter, Exit> {
        match &self.log {
            Some(text) => Filter::parse(text).map_err(|error| {
                output::fail(&format!("--log: {error}"));
                Exit::Usage
            }),
            None => Ok(config.log.filter.clone()),
        }
    }

    /// Sets up the log on stderr, as configured or as the command line says.
    fn init_log(&self, config: &Config) -> Result<log::Dial, Exit> {
        let filter = self.filter(config)?;
        let journal = std::env::var_os("JOURNAL_STREAM");
        let by_itself = || Format::of_output(journal.as_deref(), std::io::stderr());
        let output = Output {
            format: config.log.format.unwrap_or_else(by_itself),
            filter,
            colour: output::colour(),
            clock: self.clock.clone(),
            writer: std::io::stderr,
        };
        log::init(output).map_err(|error| {
            output::fail(&format!("the log cannot be set up: {error}"));
            Exit::Failed
        })
    }
}

#[cfg(test)]
mod documentation;
