//! The connections of one client, one to each broker, opened when they are needed and again when they
//! have ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::address::Address;
use super::connection::{Connection, Options};
use super::error::Error;

/// One connection to each broker that is talked to.
#[derive(Debug)]
pub struct Connections {
    options: Options,
    slots: Mutex<HashMap<Address, Arc<Slot>>>,
}

/// A broker's connection; the lock is held while it is opened, so that it is opened once.
type Slot = tokio::sync::Mutex<Option<Arc<Connection>>>;

impl Connections {
    /// None yet.
    pub fn new(options: Options) -> Connections {
        Connections {
            options,
            slots: Mutex::default(),
        }
    }

    /// The connection to this broker, opened if there is none.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn to(&self, address: &Address) -> Result<Arc<Connection>, Error> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(address.clone()).or_default())
        };
        let mut connection = slot.lock().await;
        if let Some(open) = connection
            .as_ref()
            .filter(|connection| connection.is_open())
        {
            return Ok(Arc::clone(open));
        }
        let opened = Arc::new(Connection::open(address, &self.options).await?);
        *connection = Some(Arc::clone(&opened));
        Ok(opened)
    }
}
