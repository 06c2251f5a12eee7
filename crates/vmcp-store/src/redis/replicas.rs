//! What replicas say of themselves: a key each, which goes when nobody has said it anew. Its value is where the replica
//! listens to the others, sealed, so that nobody else can send them elsewhere; it is empty if it does not listen.

use super::{Inner, decimal};
use crate::{Announced, Error, Timestamp};

impl Inner {
    pub(super) async fn announce_replica(
        &self,
        replica: &str,
        address: Option<&str>,
        until: Timestamp,
    ) -> Result<(), Error> {
        let key = self.key(b"r:", replica.as_bytes());
        let value = match address {
            Some(address) => {
                let database = self.database();
                let place = [b"replica", database.as_bytes(), &key];
                vmcp_keys::seal(&*self.ring.get()?, &place, address.as_bytes())
            }
            None => Vec::new(),
        };
        let until = decimal(self.time.in_redis(until));
        self.send("SET", &key, &[&value, b"PXAT", &until]).await
    }

    pub(super) async fn replica(
        &self,
        replica: &str,
        now: Timestamp,
    ) -> Result<Option<Announced>, Error> {
        let key = self.key(b"r:", replica.as_bytes());
        let until: i64 = self.send("PEXPIRETIME", &key, &[]).await?;
        let now = self.time.in_redis(now);
        if !u64::try_from(until).is_ok_and(|until| until > now.0) {
            return Ok(None);
        }
        let value: Option<Vec<u8>> = self.send("GET", &key, &[]).await?;
        let Some(value) = value else { return Ok(None) };
        if value.is_empty() {
            return Ok(Some(Announced { address: None }));
        }
        let database = self.database();
        let place = [b"replica", database.as_bytes(), &key];
        let text = vmcp_keys::open(&*self.ring.get()?, &place, &value);
        let address = text.and_then(|text| String::from_utf8(text).ok());
        let address = address.ok_or_else(|| self.unreadable("the address of a replica"))?;
        Ok(Some(Announced { address: Some(address.into()) }))
    }

    /// Part of what an address is sealed for, as is its key: it is no other replica's, and none's of another
    /// deployment.
    fn database(&self) -> String {
        self.link.settings.db.to_string()
    }
}
