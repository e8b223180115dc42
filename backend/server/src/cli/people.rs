//! Users and their tokens, from the command line.

use clap::Subcommand;
use rackhand_store::{Db, Scope, Tx, audit, sessions, tokens, users};
use rackhand_wire::{
    api::{
        token::{AddToken, Token},
        user::User,
    },
    id::TenantId,
};
use serde_json::{Value, json};
use std::io::{self, BufRead, IsTerminal};

use super::print::{Printed, columns, moment};
use crate::{Failure, http, secret, serve};

/// What can be done with users.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a user; the password is asked for, or read from standard input
    Add {
        /// Name to sign in with
        #[arg(long)]
        name: String,
        #[command(flatten)]
        printed: Printed,
    },
    /// List the users
    List(Printed),
    /// Give a user another password, asked for or read from standard input; it ends their sessions
    Password {
        /// Whose password
        #[arg(long)]
        name: String,
        #[command(flatten)]
        printed: Printed,
    },
}

/// What can be done with tokens.
#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token with a user's rights; it is printed this once
    Add {
        /// Whose rights it has
        #[arg(long, value_name = "NAME")]
        user: String,
        /// When it ends, in whole days: 30d, 52w (12h counts as one day)
        #[arg(long, value_name = "DURATION", value_parser = days, allow_hyphen_values = true)]
        expires: Option<u32>,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "command line")]
        name: String,
        #[command(flatten)]
        printed: Printed,
    },
    /// List the tokens without their values
    List {
        /// Only those of one user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        printed: Printed,
    },
    /// End a token at once
    Remove {
        /// Which: its id, or its first characters as `token list` shows them
        #[arg(value_name = "TOKEN")]
        which: String,
        #[command(flatten)]
        printed: Printed,
    },
}

/// Does something with users.
///
/// # Errors
/// When it is refused, or the database cannot be used.
pub async fn user(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add { name, printed } => {
            let db = serve::open_current(&printed.config()?).await?;
            add_user(&db, &name, &printed).await
        }
        UserCommand::List(printed) => {
            let db = serve::open_existing(&printed.config()?).await?;
            list_users(&db, &printed).await
        }
        UserCommand::Password { name, printed } => {
            let db = serve::open_existing(&printed.config()?).await?;
            change_password(&db, &name, &printed).await
        }
    }
}

/// Does something with tokens.
///
/// # Errors
/// When it is refused, or the database cannot be used.
pub async fn token(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Add { user, expires, name, printed } => {
            let db = serve::open_existing(&printed.config()?).await?;
            add_token(&db, &user, AddToken { name, expires_in_days: expires }, &printed).await
        }
        TokenCommand::List { user, printed } => {
            let db = serve::open_existing(&printed.config()?).await?;
            list_tokens(&db, user.as_deref(), &printed).await
        }
        TokenCommand::Remove { which, printed } => {
            let db = serve::open_existing(&printed.config()?).await?;
            remove_token(&db, &which, &printed).await
        }
    }
}

async fn add_user(db: &Db, name: &str, printed: &Printed) -> Result<(), Failure> {
    let what = "add the user";
    if name.trim().is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(Failure::new(what, "the name must have 1 to 100 printable characters"));
    }
    let hash = hashed_password(name, what)?;
    let tx = db.begin().await?;
    let user = users::add(&tx, TenantId::PROVIDER, name, hash).await?;
    record(&tx, "user.add", ("user", &user.id.to_string(), &user.name), json!({})).await?;
    commit(tx).await?;
    printed.print(&user, &format!("added user {}", user.name))
}

async fn list_users(db: &Db, printed: &Printed) -> Result<(), Failure> {
    let all = users::list(db.reader(), &Scope::provider()).await?;
    let rows = all.iter().map(|user| {
        let state = if user.disabled { "disabled" } else { "active" };
        [user.name.clone(), state.to_owned(), moment(user.last_seen_at), moment(Some(user.created_at))]
    });
    printed.print(&all, &columns(["NAME", "STATE", "LAST SIGN-IN", "ADDED"], rows))
}

async fn change_password(db: &Db, name: &str, printed: &Printed) -> Result<(), Failure> {
    let what = "change the password";
    let id = named(db, name, what).await?.user.id;
    let password_hash = Some(hashed_password(name, what)?);
    let tx = db.begin().await?;
    let change = users::Change { password_hash, ..Default::default() };
    let user = users::change(&tx, &Scope::provider(), id, change).await?;
    sessions::remove_of_user(&tx, id, None).await?;
    let detail = json!({"name": null, "disabled": null, "password": true});
    record(&tx, "user.change", ("user", &id.to_string(), &user.name), detail).await?;
    commit(tx).await?;
    let still = if user.disabled { "; the account is still disabled" } else { "" };
    printed.print(&user, &format!("changed the password of {}{still}", user.name))
}

async fn add_token(db: &Db, user: &str, new: AddToken, printed: &Printed) -> Result<(), Failure> {
    let what = "make a token";
    let account = named(db, user, what).await?;
    let tx = db.begin().await?;
    let made = http::people::make_token(&tx, &account.user, account.tenant, new).await;
    let made = made.map_err(|error| Failure::new(what, error))?;
    record(&tx, "token.add", ("token", &made.token.id.to_string(), &made.token.name), json!({})).await?;
    commit(tx).await?;
    printed.print(&made, &made.value)
}

async fn list_tokens(db: &Db, user: Option<&str>, printed: &Printed) -> Result<(), Failure> {
    let owner = match user {
        Some(name) => Some(named(db, name, "list the tokens").await?.user.id),
        None => None,
    };
    let mut all = everyones(db).await?;
    all.retain(|(user, _)| owner.is_none_or(|owner| owner == user.id));
    let rows = all.iter().map(|(user, token)| {
        let ends = moment(token.expires_at);
        let (prefix, name) = (token.prefix.clone(), token.name.clone());
        [prefix, user.name.clone(), name, ends, moment(token.last_used_at), token.id.to_string()]
    });
    let text = columns(["TOKEN", "USER", "FOR", "ENDS", "LAST USED", "ID"], rows);
    let bare: Vec<&Token> = all.iter().map(|(_, token)| token).collect();
    printed.print(&bare, &text)
}

async fn remove_token(db: &Db, which: &str, printed: &Printed) -> Result<(), Failure> {
    let what = "remove the token";
    let mut fitting = everyones(db).await?;
    fitting.retain(|(_, token)| token.id.to_string() == which || token.prefix == which);
    let (user, token) = match fitting.as_slice() {
        [one] => one,
        [] => {
            let why = format!("there is no token “{which}”; `rackhand token list` shows them");
            return Err(Failure::new(what, why));
        }
        [_, _, ..] => {
            return Err(Failure::new(what, format!("several tokens begin with “{which}”; say its id")));
        }
    };
    let tx = db.begin().await?;
    let gone = tokens::remove(&tx, &Scope::provider(), user.id, token.id).await?;
    record(&tx, "token.remove", ("token", &gone.id.to_string(), &gone.name), json!({})).await?;
    commit(tx).await?;
    printed.print(&gone, &format!("removed the token {} of {}", gone.prefix, user.name))
}

/// Every token with whose it is.
async fn everyones(db: &Db) -> Result<Vec<(User, Token)>, Failure> {
    let everything = Scope::provider();
    let mut all = Vec::new();
    for user in users::list(db.reader(), &everything).await? {
        let own = tokens::list(db.reader(), &everything, user.id).await?;
        all.extend(own.into_iter().map(|token| (user.clone(), token)));
    }
    Ok(all)
}

async fn named(db: &Db, name: &str, what: &str) -> Result<users::Account, Failure> {
    let account = users::find_by_name(db.reader(), name).await?;
    account.ok_or_else(|| {
        Failure::new(what, format!("there is no user “{name}”; `rackhand user list` shows them"))
    })
}

/// Asks for a password and hashes it.
fn hashed_password(name: &str, what: &str) -> Result<String, Failure> {
    let password = read_password(name, what)?;
    if !(12..=200).contains(&password.chars().count()) {
        return Err(Failure::new(what, "the password must have 12 to 200 characters"));
    }
    secret::hash_password(&password)
}

/// Reads a password without showing it, twice, from a terminal; else the first line of the input.
fn read_password(name: &str, what: &str) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::new("read the password", error);
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(failed)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let password = rpassword::prompt_password(format!("Password for {name}: ")).map_err(failed)?;
    let again = rpassword::prompt_password("The same again: ").map_err(failed)?;
    if password == again { Ok(password) } else { Err(Failure::new(what, "the passwords differ")) }
}

/// Notes in the record what was done from here.
///
/// # Errors
/// When the database fails.
pub async fn record(
    tx: &Tx,
    action: &str,
    (object, id, name): (&str, &str, &str),
    detail: Value,
) -> Result<(), Failure> {
    let deed = audit::Deed {
        actor: "command line".into(),
        action: action.into(),
        object: format!("{object}/{id}"),
        object_name: name.into(),
        detail,
        ..audit::Deed::default()
    };
    Ok(audit::append(tx, TenantId::PROVIDER, deed).await?)
}

/// Commits.
///
/// # Errors
/// When the database fails.
pub async fn commit(tx: Tx) -> Result<(), Failure> {
    tx.commit().await.map_err(|error| Failure::from(rackhand_store::Error::from(error)))
}

/// Reads `30d`, `12h` or `2w` as whole days, rounded up.
fn days(text: &str) -> Result<u32, String> {
    let wrong = || "say a number of days like 30d, or 12h, 2w".to_owned();
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let days = match unit {
        "h" => number.div_ceil(24),
        "d" => number,
        "w" => number.checked_mul(7).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    if (1..=3650).contains(&days) { Ok(days) } else { Err("between 1 and 3650 days are possible".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_days() {
        assert_eq!(days("30d"), Ok(30));
        assert_eq!(days("12h"), Ok(1));
        assert_eq!(days("2w"), Ok(14));
        for wrong in ["", "30", "d", "0d", "99999w", "1y"] {
            assert!(days(wrong).is_err(), "{wrong}");
        }
    }
}
