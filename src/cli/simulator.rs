//! `meetbridge simulator`: the embedded Microsoft Graph alone.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Context, Exit, output};
use crate::daemon::stop_on_signal;
use crate::simulator::{Settings, serve};

pub(super) async fn simulator(context: &Context, listen: SocketAddr, latency: &str) -> Exit {
    let Some(latency) = milliseconds(latency) else {
        output::fail("--latency takes milliseconds or seconds, such as \"100ms\" or \"2s\"");
        return Exit::Usage;
    };
    match try_simulator(context, listen, latency).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            output::fail(&format!("the simulator at {listen}: {error}"));
            Exit::Failed
        }
    }
}

async fn try_simulator(
    context: &Context,
    listen: SocketAddr,
    latency: Duration,
) -> std::io::Result<()> {
    let stop = stop_on_signal()?;
    let directory = tempfile::tempdir()?;
    let mut settings = Settings::new(context.clock.clone());
    settings.listen = listen;
    settings.latency = latency;
    let ready = |simulator: &crate::simulator::Simulator| {
        let secret = simulator.write_secret(directory.path())?;
        output::say(&format!(
            "The Microsoft Graph simulator listens at {}; stop it with Ctrl-C.\n\
             What it holds: GET {}/_simulator/state\n\
             Put this into a configuration:\n",
            simulator.address(),
            simulator.graph_url(),
        ));
        output::print(&simulator.graph_toml(&secret));
        Ok(())
    };
    serve(settings, ready, stop.cancelled()).await
}

/// `100ms` or `2s`.
fn milliseconds(text: &str) -> Option<Duration> {
    let number = |digits: &str| digits.parse::<u32>().ok();
    match text.strip_suffix("ms") {
        Some(digits) => number(digits).map(|n| Duration::from_millis(n.into())),
        None => text
            .strip_suffix('s')
            .and_then(number)
            .map(|n| Duration::from_secs(n.into())),
    }
}
