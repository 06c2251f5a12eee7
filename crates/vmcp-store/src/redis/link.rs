//! The way to Redis: commands with a deadline, and whether it can be reached.
//!
//! What is known to be out of reach is not waited for: while the keeper tries to connect again,
//! commands fail at once.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    dial::Connection,
    rests::{Part, Rests},
    ring::Ring,
    settings::Settings,
    time::{self, AgreedTime},
};
use crate::{Error, Reach, traffic::Counter};

/// How long the keeper waits between attempts to connect.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(1000));

/// The log is told no more often that commands are refused.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(10);

/// Commands that a server has refused for what it is at the moment are sent this often.
const ATTEMPTS: usize = 3;

/// The way to Redis.
pub(super) struct Link {
    pub(super) settings: Settings,
    /// Parts of a cluster that are out of reach.
    rests: Rests,
    state: watch::Sender<State>,
    outage: Mutex<Outage>,
    /// When the log was told last that a command was refused.
    told: Mutex<Option<Instant>>,
    pub(super) commands: Counter,
    pub(super) failures: Counter,
}

#[derive(Clone)]
enum State {
    /// A connection is being made, and there is reason to wait for it.
    Trying,
    /// The number tells connections apart.
    Up(u64, Connection),
    Down(Arc<str>),
}

/// What the log has been told.
enum Outage {
    /// It has not been reached, and whether that has been said.
    Never {
        said: bool,
    },
    None,
    Since(Instant),
}

/// What a command's failure means.
enum Failure {
    /// It was not run, and may be on another server.
    NotRun,
    /// The connection is of no use any more.
    Lost,
    /// It was refused.
    Refused,
}

impl Link {
    pub(super) fn new(settings: Settings) -> Self {
        let outage = Mutex::new(Outage::Never { said: false });
        let (rests, state) = (Rests::default(), watch::Sender::new(State::Trying));
        let (commands, failures) = Default::default();
        Self { settings, rests, state, outage, told: Mutex::new(None), commands, failures }
    }

    /// Sends a command about one key. Fails at the command's deadline at the latest.
    pub(super) async fn send(&self, key: &[u8], command: &Cmd) -> Result<Value, Error> {
        self.exchange(key, command).await?.map_err(|refused| self.refused(&refused))
    }

    /// The same for a script that is named only. `None` if the server does not know it.
    pub(super) async fn ask(&self, key: &[u8], command: &Cmd) -> Result<Option<Value>, Error> {
        match self.exchange(key, command).await? {
            Ok(value) => Ok(Some(value)),
            Err(refused) if refused.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                Ok(None)
            }
            Err(refused) => Err(self.refused(&refused)),
        }
    }

    /// The answer, which may be a refusal.
    async fn exchange(&self, key: &[u8], command: &Cmd) -> Result<RedisResult<Value>, Error> {
        self.commands.count();
        let answer = self.attempt(key, command).await;
        answer.inspect_err(|_failed| self.failures.count())
    }

    async fn attempt(&self, key: &[u8], command: &Cmd) -> Result<RedisResult<Value>, Error> {
        let deadline = Instant::now() + self.settings.command_timeout;
        let mut problem = None;
        for _attempt in 0..ATTEMPTS {
            let (number, mut connection) = self.connection(deadline, problem.take()).await?;
            let part = matches!(connection, Connection::Cluster(_)).then(|| Part::of(key));
            if let Some(part) = part {
                self.rests.check(part, deadline).map_err(Error::Unavailable)?;
            }
            let answer = timeout_at(deadline, connection.send(command)).await;
            let answer = answer.unwrap_or_else(|_elapsed| {
                let why = format!("no answer within {:?}", self.settings.command_timeout);
                Err(RedisError::from(io::Error::new(io::ErrorKind::TimedOut, why)))
            });
            let error = match answer {
                Err(error) if !matches!(judge(&error), Failure::Refused) => error,
                answer => {
                    if part.is_some_and(|part| self.rests.end(part)) {
                        self.note_reached();
                    }
                    return Ok(answer);
                }
            };
            let why = error.to_string();
            if let Some(part) = part {
                // The connection finds the other nodes, and new ones, by itself.
                self.note_outage(&why);
                self.rests.begin(part, why.clone());
                if error.kind() == ErrorKind::ClusterConnectionNotFound {
                    self.lose(number, State::Trying);
                }
                return Err(Error::Unavailable(why));
            }
            match judge(&error) {
                Failure::NotRun => {
                    self.lose(number, State::Trying);
                    problem = Some(Error::Unavailable(why));
                }
                Failure::Lost | Failure::Refused => {
                    // There is no reason to wait for one that does not answer.
                    let silent = error.is_timeout();
                    self.lose(
                        number,
                        if silent { State::Down(why.clone().into()) } else { State::Trying },
                    );
                    return Err(Error::Unavailable(why));
                }
            }
        }
        Err(problem.unwrap_or_else(|| Error::Unavailable("it keeps changing".to_owned())))
    }

    pub(super) fn reach(&self) -> Reach {
        match *self.outage.lock().unwrap_or_else(PoisonError::into_inner) {
            Outage::Never { .. } => Reach::Never,
            Outage::None => Reach::Good,
            Outage::Since(_) => Reach::Lost,
        }
    }

    /// Connects, and connects again whenever the connection is lost, until `stop`. First of all the
    /// keys are agreed upon.
    pub(super) async fn keep(&self, stop: CancellationToken, ring: &Ring, time: &AgreedTime) {
        let keeping = async {
            let mut state = self.state.subscribe();
            for number in 0.. {
                let connection = self.connect(ring, time).await;
                self.note_reached();
                self.state.send_replace(State::Up(number, connection.clone()));
                let lost = async {
                    let lost = state.wait_for(|state| !matches!(state, State::Up(..))).await;
                    lost.map(|state| state.clone())
                };
                let lost = tokio::select! {
                    lost = lost => lost,
                    never = self.stay_agreed(connection, ring, time) => match never {},
                };
                let Ok(lost) = lost else { return };
                if let State::Down(why) = lost {
                    self.note_outage(&why);
                }
            }
        };
        stop.run_until_cancelled(keeping).await;
    }

    /// Keeps telling what time it is here, looks after the keys, and agrees about them again at once when
    /// there is reason to.
    async fn stay_agreed(
        &self,
        mut connection: Connection,
        ring: &Ring,
        time: &AgreedTime,
    ) -> Infallible {
        let patience = self.settings.command_timeout;
        loop {
            tokio::select! {
                () = tokio::time::sleep(time::PAUSE) => {
                    let told = timeout(patience, time.tell(&mut connection)).await;
                    // Whether the connection is of use is found out by those who need it.
                    if let Ok(Err(why)) = told {
                        tracing::debug!(why, "could not tell the store what time it is");
                    }
                    let agreed = timeout(patience, ring.look(&mut connection)).await;
                    if let Ok(Err(why)) = agreed {
                        tracing::debug!(why, "could not see to the keys");
                    }
                }
                () = ring.doubted() => {
                    let agreed = timeout(patience, ring.agree(connection.clone())).await;
                    if let Ok(Err(why)) = agreed {
                        tracing::debug!(why, "could not agree about the keys again");
                    }
                }
            }
        }
    }

    /// Tries until there is a connection.
    async fn connect(&self, ring: &Ring, time: &AgreedTime) -> Connection {
        let (mut wait, most) = AGAIN;
        loop {
            let connecting = async {
                let connection = Connection::dial(&self.settings).await;
                let mut connection = connection.map_err(|error| error.to_string())?;
                let silent = |_elapsed| "it does not answer".to_owned();
                let patience = self.settings.command_timeout;
                // Before anything is judged by it.
                let agreeing = time.agree(&mut connection);
                timeout(patience + time::WAIT, agreeing).await.map_err(silent)??;
                let agreeing = ring.agree(connection.clone());
                timeout(patience, agreeing).await.map_err(silent)??;
                Ok::<_, String>(connection)
            };
            match connecting.await {
                Ok(connection) => return connection,
                Err(why) => {
                    self.note_outage(&why);
                    self.state.send_replace(State::Down(why.into()));
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(most);
        }
    }

    async fn connection(
        &self,
        deadline: Instant,
        problem: Option<Error>,
    ) -> Result<(u64, Connection), Error> {
        let mut state = self.state.subscribe();
        let settling = state.wait_for(|state| !matches!(state, State::Trying));
        let settled = timeout_at(deadline, settling).await;
        match settled.map(|state| state.map(|state| state.clone())) {
            Ok(Ok(State::Up(number, connection))) => Ok((number, connection)),
            Ok(Ok(State::Down(why))) => Err(Error::Unavailable(why.to_string())),
            Ok(Ok(State::Trying) | Err(_)) | Err(_) => {
                Err(problem.unwrap_or_else(|| Error::Unavailable("it is being looked for".into())))
            }
        }
    }

    /// Gives a connection up.
    fn lose(&self, number: u64, next: State) {
        self.state.send_if_modified(|state| {
            let mine = matches!(state, State::Up(present, _) if *present == number);
            if mine {
                *state = next;
            }
            mine
        });
    }

    fn note_outage(&self, why: &str) {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match *outage {
            Outage::Since(_) | Outage::Never { said: true } => {}
            Outage::None => {
                tracing::warn!(store = %self.settings.servers, why, "the session store is out of reach: sessions that live here go on, everything else of a session is refused until it is back");
                *outage = Outage::Since(Instant::now());
            }
            Outage::Never { said: false } => {
                tracing::warn!(store = %self.settings.servers, why, "the session store cannot be reached yet: sessions are refused until it is");
                *outage = Outage::Never { said: true };
            }
        }
    }

    /// A command that the server refuses. Whoever asked is not told why, so the log says it.
    fn refused(&self, error: &RedisError) -> Error {
        self.failures.count();
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| now >= told + BETWEEN_REFUSALS) {
            *told = Some(now);
            tracing::warn!(store = %self.settings.servers, why = %error, "the session store refuses a command");
        }
        Error::Unavailable(error.to_string())
    }

    fn note_reached(&self) {
        let mut outage = self.outage.lock().unwrap_or_else(PoisonError::into_inner);
        match *outage {
            Outage::None => {}
            Outage::Never { .. } => {
                tracing::info!(store = %self.settings.servers, "reached the session store")
            }
            Outage::Since(since) => {
                let seconds = since.elapsed().as_secs_f64();
                tracing::info!(store = %self.settings.servers, seconds, "the session store can be reached again");
            }
        }
        *outage = Outage::None;
    }
}

fn judge(error: &RedisError) -> Failure {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::ReadOnly
            | ServerErrorKind::MasterDown
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask,
        ) => Failure::NotRun,
        ErrorKind::Server(_) => Failure::Refused,
        _ if error.is_unrecoverable_error() || error.is_io_error() => Failure::Lost,
        _ => Failure::Refused,
    }
}
