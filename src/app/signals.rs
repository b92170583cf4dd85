//! What the operating system asks of us.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::{Reloader, Stopper};

/// SIGTERM and SIGINT stop, SIGHUP rereads the TLS files.
pub(super) fn heed(stopper: Stopper, reloader: Option<Reloader>) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                // Without TLS there is nothing to reread; the signal is taken all the same, lest it end the process.
                _ = hangup.recv() => if let Some(reloader) = &reloader { reload(reloader) },
            }
        }
        tracing::info!("stopping: finishing what is in flight");
        stopper.stop();
    });
    Ok(())
}

fn reload(reloader: &Reloader) {
    match reloader.reload() {
        Ok(()) => tracing::info!("the TLS files were read again"),
        Err(error) => tracing::error!(%error, "the TLS files were not taken; the old certificate stays in use"),
    }
}
