//! Connections to Redis.

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo as _, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates,
    TlsMode, Value,
    aio::{ConnectionLike as _, MultiplexedConnection, PubSub},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
};

use super::settings::{Address, Password, Servers, Settings};

/// A way to send commands.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// With what name and password, if any.
type Login<'a> = (Option<&'a str>, Option<&'a Password>);

impl Connection {
    /// Connects to whoever takes commands now.
    pub(super) async fn dial(settings: &Settings) -> RedisResult<Self> {
        in_time(settings, async {
            if let Servers::Cluster(nodes) = &settings.servers {
                return cluster(settings, nodes).await.map(Self::Cluster);
            }
            let master = master(settings).await?;
            let connection = connected(settings, &client(settings, &master)?).await?;
            Ok(Self::Server(connection))
        })
        .await
    }

    pub(super) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Server(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }
}

/// Two connections to one server, for the bus: one listens, the other tells.
///
/// In a cluster every replica uses the node that has the channel's slot, so that one server puts all
/// messages in order.
pub(super) async fn dial_bus(
    settings: &Settings,
    channel: &str,
) -> RedisResult<(PubSub, MultiplexedConnection)> {
    in_time(settings, async {
        let address = match &settings.servers {
            Servers::Cluster(nodes) => owner(settings, nodes, channel).await?,
            Servers::Single(_) | Servers::Sentinel { .. } => master(settings).await?,
        };
        let client = client(settings, &address)?;
        let mut listening = client.get_async_pubsub().await?;
        listening.subscribe(channel).await?;
        Ok((listening, connected(settings, &client).await?))
    })
    .await
}

async fn in_time<T>(
    settings: &Settings,
    connecting: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let connected = tokio::time::timeout(settings.dial_timeout, connecting).await;
    connected.unwrap_or_else(|_elapsed| Err(failure("it did not answer in time")))
}

/// The server that takes writes, by what Sentinels say if there are any
/// (<https://redis.io/docs/latest/develop/reference/sentinel-clients/>).
async fn master(settings: &Settings) -> RedisResult<Address> {
    let (sentinels, name, login) = match &settings.servers {
        Servers::Single(address) => return Ok(address.clone()),
        Servers::Sentinel { sentinels, master, username, password } => {
            (sentinels, master, (username.as_deref(), password.as_ref()))
        }
        Servers::Cluster(_) => return Err(failure("a cluster has no single master")),
    };
    let mut problem = failure("no Sentinel is configured");
    let mut ask = Cmd::new();
    ask.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    // One that hangs must not keep the others from being asked.
    let patience = settings.dial_timeout / u32::try_from(sentinels.len() + 1).unwrap_or(2);
    for sentinel in sentinels {
        let asking = async {
            let mut connection =
                connected(settings, &client_as(settings, sentinel, login, 0)?).await?;
            ask.query_async::<Option<(String, u16)>>(&mut connection).await
        };
        match tokio::time::timeout(patience, asking).await {
            Ok(Ok(Some((host, port)))) => return Ok(Address { host, port }),
            Ok(Ok(None)) => problem = failure("the Sentinels do not know the master's name"),
            Ok(Err(error)) => problem = error,
            Err(_elapsed) => problem = failure("a Sentinel did not answer in time"),
        }
    }
    Err(problem)
}

/// The node of a cluster that has the slot of a key.
async fn owner(settings: &Settings, nodes: &[Address], key: &str) -> RedisResult<Address> {
    let mut problem = failure("no node of the cluster is configured");
    let patience = settings.dial_timeout / u32::try_from(nodes.len() + 1).unwrap_or(2);
    for node in nodes {
        let asking = async {
            let mut connection = connected(settings, &client(settings, node)?).await?;
            let slot: u16 =
                redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(&mut connection).await?;
            let slots = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
            owner_of(slots, slot).ok_or_else(|| failure("no node has the slot of the bus"))
        };
        match tokio::time::timeout(patience, asking).await {
            // A node that does not know its own name is where it was found.
            Ok(Ok(Address { host, port })) if host.is_empty() => {
                return Ok(Address { host: node.host.clone(), port });
            }
            Ok(Ok(address)) => return Ok(address),
            Ok(Err(error)) => problem = error,
            Err(_elapsed) => problem = failure("a node did not answer in time"),
        }
    }
    Err(problem)
}

/// Finds the master of a slot in the answer to `CLUSTER SLOTS`.
fn owner_of(slots: Value, slot: u16) -> Option<Address> {
    let Value::Array(ranges) = slots else { return None };
    ranges.into_iter().find_map(|range| {
        let Value::Array(range) = range else { return None };
        let [Value::Int(from), Value::Int(to), Value::Array(master), ..] = &range[..] else {
            return None;
        };
        if !(*from..=*to).contains(&i64::from(slot)) {
            return None;
        }
        let host = redis::from_redis_value_ref(master.first()?).ok()?;
        let port = redis::from_redis_value_ref(master.get(1)?).ok()?;
        Some(Address { host, port })
    })
}

fn client(settings: &Settings, address: &Address) -> RedisResult<Client> {
    let login = (settings.username.as_deref(), settings.password.as_ref());
    let db = if matches!(settings.servers, Servers::Cluster(_)) { 0 } else { settings.db };
    client_as(settings, address, login, db)
}

fn client_as(
    settings: &Settings,
    address: &Address,
    login: Login<'_>,
    db: u32,
) -> RedisResult<Client> {
    let info = info(settings, address, login, db)?;
    match &settings.tls {
        None => Client::open(info),
        Some(tls) => Client::build_with_tls(
            info,
            TlsCertificates { client_tls: None, root_cert: tls.authorities.clone() },
        ),
    }
}

fn info(
    settings: &Settings,
    address: &Address,
    (username, password): Login<'_>,
    db: u32,
) -> RedisResult<ConnectionInfo> {
    let Address { host, port } = address.clone();
    let address = if settings.tls.is_some() {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut login = RedisConnectionInfo::default().set_db(i64::from(db));
    if let Some(username) = username {
        login = login.set_username(username);
    }
    if let Some(password) = password {
        login = login.set_password(password.now());
    }
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(address.into_connection_info()?.set_redis_settings(login).set_tcp_settings(tcp))
}

async fn connected(settings: &Settings, client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(settings.dial_timeout))
        .set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await
}

async fn cluster(settings: &Settings, nodes: &[Address]) -> RedisResult<ClusterConnection> {
    let login = (settings.username.as_deref(), settings.password.as_ref());
    let nodes = nodes.iter().map(|node| info(settings, node, login, 0));
    let nodes = nodes.collect::<RedisResult<Vec<_>>>()?;
    let mut builder = ClusterClient::builder(nodes)
        .connection_timeout(settings.dial_timeout)
        .response_timeout(settings.command_timeout)
        .overall_response_timeout(Some(settings.command_timeout));
    if let Some(tls) = &settings.tls {
        let root_cert = tls.authorities.clone();
        builder =
            builder.tls(TlsMode::Secure).certs(TlsCertificates { client_tls: None, root_cert });
    }
    builder.build()?.get_async_connection().await
}

fn failure(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, why))
}
