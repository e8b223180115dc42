//! The RAKP key exchange: codes both ends compute, and the keys that come of it.

use aes::{Aes128, cipher::KeyInit};

use super::{
    Suite,
    crypto::{Code, Keyed},
};

/// What both ends know after RAKP message 2.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub suite: Suite,
    pub console_id: u32,
    pub bmc_id: u32,
    pub console_random: [u8; 16],
    pub bmc_random: [u8; 16],
    pub guid: [u8; 16],
    /// Requested role with the name-only lookup bit, as it stood on the wire.
    pub role: u8,
    pub user: Vec<u8>,
}

impl Exchange {
    fn name_length(&self) -> u8 {
        u8::try_from(self.user.len()).unwrap_or(u8::MAX)
    }

    /// The BMC's proof that it knows the password.
    pub fn rakp2_code(&self, password: &[u8]) -> Code {
        Keyed::new(self.suite, password).code(&[
            &self.console_id.to_le_bytes(),
            &self.bmc_id.to_le_bytes(),
            &self.console_random,
            &self.bmc_random,
            &self.guid,
            &[self.role, self.name_length()],
            &self.user,
        ])
    }

    /// The console's proof that it knows the password.
    pub fn rakp3_code(&self, password: &[u8]) -> Code {
        Keyed::new(self.suite, password).code(&[
            &self.bmc_random,
            &self.console_id.to_le_bytes(),
            &[self.role, self.name_length()],
            &self.user,
        ])
    }

    /// The session integrity key, from Kg or, where the BMC has none, from the password.
    pub fn session_key(&self, password: &[u8], kg: Option<&[u8]>) -> Code {
        Keyed::new(self.suite, kg.unwrap_or(password)).code(&[
            &self.console_random,
            &self.bmc_random,
            &[self.role, self.name_length()],
            &self.user,
        ])
    }

    /// The BMC's proof that it knows the session key.
    pub fn rakp4_code(&self, session_key: &Code) -> Code {
        Keyed::new(self.suite, session_key.as_slice())
            .code(&[&self.console_random, &self.bmc_id.to_le_bytes(), &self.guid])
            .truncated(self.suite.tag_len())
    }
}

/// Keys of an open RMCP+ session.
#[derive(Clone)]
pub(crate) struct Keys {
    pub suite: Suite,
    pub integrity: Keyed,
    pub cipher: Aes128,
}

impl Keys {
    pub fn new(suite: Suite, session_key: &Code) -> Self {
        let sik = Keyed::new(suite, session_key.as_slice());
        let integrity = Keyed::new(suite, sik.code(&[&[1; 20]]).as_slice());
        let mut key = [0; 16];
        for (to, byte) in key.iter_mut().zip(sik.code(&[&[2; 20]]).as_slice()) {
            *to = *byte;
        }
        Self { suite, integrity, cipher: Aes128::new(&key.into()) }
    }
}
