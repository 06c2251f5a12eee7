//! What is done to one key in one step. Each script touches its only key, as a cluster demands.
//!
//! A record is a hash. Its fields:
//!
//! | field | what |
//! |---|---|
//! | `s` | the state: `p` placeholder, `l` live, `t` tombstone |
//! | `d` | the deadline, or when a tombstone may be claimed; milliseconds since the epoch |
//! | `r` | what never changes, sealed |
//! | `c` | the digest of the catalog |
//! | `l` | the log level |
//! | `e` | the stream epoch |
//! | `u` | the subscriptions, sealed |
//! | `b` and a name | the session on that backend, sealed |
//! | `o` and a name | the digest of the session's own offer of that backend |
//! | `q` and a digest | an open question |

use redis::{Cmd, Value};
use ring::digest;

use super::link::Link;
use crate::Error;

/// A script and the name under which Redis knows it.
pub(super) struct Script {
    text: &'static str,
    sha1: std::sync::OnceLock<String>,
}

/// Makes a placeholder. Arguments: deadline, expiry.
pub(super) static CREATE: Script = Script::new(
    "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
    redis.call('HSET', KEYS[1], 's', 'p', 'd', ARGV[1])
    redis.call('PEXPIREAT', KEYS[1], ARGV[2])
    return 1",
);

/// Makes a placeholder live. Arguments: expiry, then fields and values.
pub(super) static FILL: Script = Script::new(
    "if redis.call('HGET', KEYS[1], 's') ~= 'p' then return 0 end
    redis.call('HSET', KEYS[1], 's', 'l', unpack(ARGV, 2))
    redis.call('PEXPIREAT', KEYS[1], ARGV[1])
    return 1",
);

/// Sets a field of a live record. Arguments: field, value.
pub(super) static SET: Script = Script::new(
    "if redis.call('HGET', KEYS[1], 's') ~= 'l' then return 0 end
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    return 1",
);

/// Takes a field out of a live record. Argument: field. 1 if it was there.
pub(super) static TAKE: Script = Script::new(
    "if redis.call('HGET', KEYS[1], 's') ~= 'l' then return 0 end
    return redis.call('HDEL', KEYS[1], ARGV[1])",
);

/// A field of a live record: an array that is empty if there is no such record, or holds the value.
/// Argument: field.
pub(super) static GET: Script = Script::new(
    "if redis.call('HGET', KEYS[1], 's') ~= 'l' then return {} end
    return {redis.call('HGET', KEYS[1], ARGV[1]) or ''}",
);

/// Raises the stream epoch. Argument: the new one.
pub(super) static RAISE: Script = Script::new(
    "if redis.call('HGET', KEYS[1], 's') ~= 'l' then return 0 end
    if tonumber(redis.call('HGET', KEYS[1], 'e') or '0') >= tonumber(ARGV[1]) then return 0 end
    redis.call('HSET', KEYS[1], 'e', ARGV[1])
    return 1",
);

/// Exchanges the value of a field. Arguments: field, the present value (empty: none), the new one
/// (empty: none). `{1}` done, `{0, present}` it is another, `{}` no live record.
pub(super) static SWAP: Script = Script::new(
    "if redis.call('HGET', KEYS[1], 's') ~= 'l' then return {} end
    local present = redis.call('HGET', KEYS[1], ARGV[1])
    if present and present ~= ARGV[2] then return {0, present} end
    if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1])
    else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
    return {1}",
);

/// Moves the deadline of a live record. Arguments: deadline, expiry.
pub(super) static REFRESH: Script = Script::new(
    "if redis.call('HGET', KEYS[1], 's') ~= 'l' then return 0 end
    if tonumber(redis.call('HGET', KEYS[1], 'd')) < tonumber(ARGV[1]) then
        redis.call('HSET', KEYS[1], 'd', ARGV[1])
        redis.call('PEXPIREAT', KEYS[1], ARGV[2])
    end
    return 1",
);

/// Makes a record a tombstone. Arguments: when it is due, expiry.
pub(super) static END: Script = Script::new(
    "local state = redis.call('HGET', KEYS[1], 's')
    if not state or state == 't' then return 0 end
    for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
        if string.sub(field, 1, 1) ~= 'b' then redis.call('HDEL', KEYS[1], field) end
    end
    redis.call('HSET', KEYS[1], 's', 't', 'd', ARGV[1])
    redis.call('PEXPIREAT', KEYS[1], ARGV[2])
    return 1",
);

/// Claims what is due, which becomes a tombstone. Arguments: now, when it may be claimed again,
/// expiry. `{}` nothing is there, `{0, when it is due}`, or `{1, field, value, ...}`.
pub(super) static CLAIM: Script = Script::new(
    "local due = redis.call('HGET', KEYS[1], 'd')
    if not due then return {} end
    if tonumber(due) > tonumber(ARGV[1]) then return {0, due} end
    for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
        if string.sub(field, 1, 1) ~= 'b' then redis.call('HDEL', KEYS[1], field) end
    end
    redis.call('HSET', KEYS[1], 's', 't', 'd', ARGV[2])
    redis.call('PEXPIREAT', KEYS[1], ARGV[3])
    local claimed = redis.call('HGETALL', KEYS[1])
    table.insert(claimed, 1, 1)
    return claimed",
);

/// Removes a tombstone.
pub(super) static REMOVE: Script = Script::new(
    "if redis.call('HGET', KEYS[1], 's') ~= 't' then return 0 end
    return redis.call('DEL', KEYS[1])",
);

impl Script {
    const fn new(text: &'static str) -> Self {
        Self { text, sha1: std::sync::OnceLock::new() }
    }

    /// Runs the script on a key.
    pub(super) async fn run(
        &self,
        link: &Link,
        key: &[u8],
        arguments: &[&[u8]],
    ) -> Result<Value, Error> {
        let command = |how: &str, what: &str| {
            let mut command: Cmd = redis::cmd(how);
            command.arg(what).arg(1).arg(key).arg(arguments);
            command
        };
        match link.ask(key, &command("EVALSHA", self.sha1())).await? {
            Some(value) => Ok(value),
            // A server that has not seen it yet learns it by this.
            None => link.send(key, &command("EVAL", self.text)).await,
        }
    }

    fn sha1(&self) -> &str {
        self.sha1.get_or_init(|| {
            let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, self.text.as_bytes());
            digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }
}
