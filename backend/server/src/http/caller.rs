//! Who asks: a browser's session or a script's token.

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::Method, web};
use futures::future::LocalBoxFuture;
use rackhand_store::{Scope, now, sessions, tenants, tokens};
use rackhand_wire::{
    api::{token::Token, user::User},
    id::TenantId,
};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

use super::problem::Refused;
use crate::{app::App, secret::token_hash};

/// Who asks, and whose rows they see.
pub struct Caller {
    /// The person.
    pub user: User,
    /// Their tenant: new rows belong to it.
    pub tenant: TenantId,
    /// Whose rows they see.
    pub scope: Scope,
    /// How they signed in.
    pub by: By,
    /// From where.
    pub source_ip: Option<String>,
}

/// How a caller signed in.
pub enum By {
    /// A browser's cookie.
    Session(sessions::Session),
    /// A bearer token.
    Token(Token),
}

impl Caller {
    /// Name in audit records.
    pub fn actor(&self) -> String {
        match &self.by {
            By::Session(_) => self.user.name.clone(),
            By::Token(token) => format!("{} (token {})", self.user.name, token.prefix),
        }
    }

    /// The session, for what only a browser does.
    pub fn session(&self) -> Option<&sessions::Session> {
        match &self.by {
            By::Session(session) => Some(session),
            By::Token(_) => None,
        }
    }
}

/// Name of the cookie. `__Host-` binds it to this host over TLS (or localhost).
pub fn cookie_name(app: &App) -> &'static str {
    if app.config.is_https() || is_localhost(&app.config.public_url) { "__Host-rackhand" } else { "rackhand" }
}

/// Browsers treat localhost as secure, so the strict cookie works there too.
pub fn is_localhost(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or(url);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    host == "localhost"
}

impl FromRequest for Caller {
    type Error = Refused;
    type Future = LocalBoxFuture<'static, Result<Self, Refused>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let app = request.app_data::<web::Data<App>>().cloned().ok_or(Refused::Internal)?;
            identify(&app, &request).await
        })
    }
}

async fn identify(app: &App, request: &HttpRequest) -> Result<Caller, Refused> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let source_ip = source_ip(app, request);
    let (by, account) = if let Some(value) = header("authorization") {
        let token = value.strip_prefix("Bearer ").ok_or(Refused::Unauthenticated)?;
        let found = tokens::find(app.db.reader(), &token_hash(token.trim())).await?;
        let (token, account) = found.ok_or(Refused::Unauthenticated)?;
        if token.last_used_at.is_none_or(|at| (now() - at).num_seconds() > 60) {
            tokens::touch(app.db.writer(), token.id).await?;
        }
        (By::Token(token), account)
    } else {
        let cookie = request.cookie(cookie_name(app)).ok_or(Refused::Unauthenticated)?;
        let found = sessions::find(app.db.reader(), &token_hash(cookie.value())).await?;
        let (session, account) = found.ok_or(Refused::Unauthenticated)?;
        if !is_read(request.method()) {
            same_site(app, &session, header("origin"), header("x-csrf-token"))?;
        }
        if (now() - session.last_used_at).num_seconds() > 60 {
            sessions::touch(app.db.writer(), session.id).await?;
        }
        // A session belongs to the tenant that its user had then.
        if session.tenant != account.tenant {
            return Err(Refused::Unauthenticated);
        }
        (By::Session(session), account)
    };
    if account.user.disabled {
        return Err(Refused::Unauthenticated);
    }
    let scope = match tenants::scope(app.db.reader(), account.tenant).await {
        Err(rackhand_store::Error::NotFound) => return Err(Refused::Unauthenticated),
        scope => scope?,
    };
    Ok(Caller { user: account.user, tenant: account.tenant, scope, by, source_ip })
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// Refuses what another site makes a browser send.
fn same_site(
    app: &App,
    session: &sessions::Session,
    origin: Option<&str>,
    csrf: Option<&str>,
) -> Result<(), Refused> {
    let why = |why: &str| Refused::Forbidden("csrf", why.to_owned());
    check_origin(app, origin)?;
    let sent = csrf.ok_or_else(|| why("Send the session's csrf_token as X-CSRF-Token."))?;
    if bool::from(sent.as_bytes().ct_eq(session.csrf_token.as_bytes())) {
        Ok(())
    } else {
        Err(why("The CSRF token is not this session's. Reload the page."))
    }
}

/// Compares a browser's Origin with the public URL; scripts send none.
pub fn check_origin(app: &App, origin: Option<&str>) -> Result<(), Refused> {
    let Some(origin) = origin else { return Ok(()) };
    let ours = app.config.public_url.as_str();
    // A loopback server may be opened under either name of the loopback.
    let alias = ours.replacen("//localhost", "//127.0.0.1", 1);
    if origin.eq_ignore_ascii_case(ours) || (is_localhost(ours) && origin == alias) {
        return Ok(());
    }
    let why = format!("This server is {ours}, the request came from {origin}. Check public_url.");
    Err(Refused::Forbidden("foreign_origin", why))
}

/// Tells the caller's address; a proxy's word counts only when it is trusted.
pub fn source_ip(app: &App, request: &HttpRequest) -> Option<String> {
    let peer = request.peer_addr()?.ip().to_canonical();
    // A proxy may add a line of its own behind those of its client.
    let lines = request.headers().get_all("x-forwarded-for").map(|line| line.to_str().unwrap_or("?"));
    let forwarded: Vec<&str> = lines.collect();
    let is_trusted = |address: &IpAddr| app.config.trusted_proxies.contains(address);
    Some(client(&forwarded.join(","), peer, is_trusted).to_string())
}

/// The last address that is no proxy of ours is the one that a trusted proxy saw; what stands before it, or before
/// something that is no address, may be anybody's invention.
fn client(forwarded: &str, peer: IpAddr, is_trusted: impl Fn(&IpAddr) -> bool) -> IpAddr {
    let mut seen = peer;
    for word in forwarded.rsplit(',') {
        if !is_trusted(&seen) {
            break;
        }
        let Some(before) = address(word.trim()) else { break };
        seen = before;
    }
    seen
}

/// Reads `192.0.2.7`, `192.0.2.7:1234`, `2001:db8::7` or `[2001:db8::7]:1234`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_trusted_proxy_saw_counts() {
        let ip = |text: &str| -> IpAddr { text.parse().unwrap() };
        let trusted = |address: &IpAddr| ["10.0.0.1", "10.0.0.2"].iter().any(|proxy| *address == ip(proxy));
        for (forwarded, peer, expected) in [
            ("", "10.0.0.1", "10.0.0.1"),
            ("198.51.100.9", "10.0.0.1", "198.51.100.9"),
            ("6.6.6.6, 198.51.100.9", "10.0.0.1", "198.51.100.9"),
            // HAProxy adds a line of its own; lines count in their order.
            ("6.6.6.6,198.51.100.9, 10.0.0.2", "10.0.0.1", "198.51.100.9"),
            ("6.6.6.6, 198.51.100.9:1234", "10.0.0.1", "198.51.100.9"),
            ("6.6.6.6, [2001:db8::9]:1234", "10.0.0.1", "2001:db8::9"),
            ("6.6.6.6, ::ffff:198.51.100.9", "10.0.0.1", "198.51.100.9"),
            ("6.6.6.6, unknown", "10.0.0.1", "10.0.0.1"),
            ("6.6.6.6", "192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(client(forwarded, ip(peer), trusted), ip(expected), "{forwarded}");
        }
    }
}
