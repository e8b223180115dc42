//! Filters that a person types: words and `key:value` tokens.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QuerySelect,
    sea_query::{Expr, ExprTrait, Func, LikeExpr},
};
use std::collections::BTreeMap;

use crate::{Scope, entity::tenant};

/// Limits a query to the tenants of a scope.
pub fn scoped(scope: &Scope, column: impl ColumnTrait) -> Condition {
    if scope.is_everything() {
        return Condition::all();
    }
    let below = tenant::Entity::find().select_only().column(tenant::Column::Id).filter_by_path(scope.path());
    Condition::all().add(column.in_subquery(below))
}

trait ByPath {
    fn filter_by_path(self, path: &str) -> sea_orm::sea_query::SelectStatement;
}

impl ByPath for sea_orm::Select<tenant::Entity> {
    fn filter_by_path(self, path: &str) -> sea_orm::sea_query::SelectStatement {
        use sea_orm::{QueryFilter, QueryTrait};
        self.filter(tenant::Column::Path.starts_with(path)).into_query()
    }
}

/// One part of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// A word to be found anywhere.
    Word(String),
    /// `key:value`.
    Token(String, String),
}

/// Takes a filter apart. Quotes keep blanks together: `rack:"row 3"`.
pub fn terms(text: &str) -> Vec<Term> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(|part| match part.split_once(':') {
            // `fe::1` is an address, `aa:bb:cc:dd:ee:ff` one as well; phones begin with a capital letter.
            Some((key, value))
                if !key.is_empty()
                    && key.chars().all(|c| c.is_ascii_alphabetic())
                    && !value.starts_with(':')
                    && !is_hardware(&part) =>
            {
                Term::Token(key.to_ascii_lowercase(), value.to_owned())
            }
            _ => Term::Word(part.to_lowercase()),
        })
        .collect()
}

/// Says whether it is the address of a network card, or begins like one.
fn is_hardware(part: &str) -> bool {
    let mut bytes = part.split(':');
    part.matches(':').count() > 1 && bytes.all(|byte| byte.len() == 2 && u8::from_str_radix(byte, 16).is_ok())
}

/// Finds what is the same as a word, whatever the case of either.
pub fn is(column: impl ColumnTrait, word: &str) -> Expr {
    let word = word.to_lowercase();
    lower(Expr::col(column.as_column_ref()), &word).eq(word)
}

/// Finds a lower-case word anywhere in a column, whatever the case of what is in it, with `%` and `_` taken
/// literally.
pub fn contains(column: impl ColumnTrait, word: &str) -> Expr {
    like(lower(Expr::col(column.as_column_ref()), word), word)
}

/// The same for a column that is kept in lower case, which is cheaper.
pub fn key_contains(column: impl ColumnTrait, word: &str) -> Expr {
    like(Expr::col(column.as_column_ref()), word)
}

fn like(text: Expr, word: &str) -> Expr {
    let escaped = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    text.like(LikeExpr::new(format!("%{escaped}%")).escape('\\'))
}

/// More different letters than any word has; SQLite nests no deeper than 1,000.
const LETTERS: usize = 64;

/// Puts a text in lower case as far as a word needs it. SQLite knows the case of ASCII alone and PostgreSQL what
/// its locale knows, so every other letter of the word is put in lower case by itself.
fn lower(text: Expr, word: &str) -> Expr {
    let others = word.chars().filter(|letter| !letter.is_ascii());
    let others: BTreeMap<char, char> =
        others.filter_map(|letter| Some((upper_of(letter)?, letter))).collect();
    let text = Expr::from(Func::lower(text));
    others.into_iter().take(LETTERS).fold(text, |text, (upper, letter)| {
        Expr::from(Func::cust("replace").arg(text).arg(upper.to_string()).arg(letter.to_string()))
    })
}

/// The letter's upper case, when that is one other letter.
fn upper_of(letter: char) -> Option<char> {
    let mut upper = letter.to_uppercase();
    upper.next().filter(|first| *first != letter && upper.next().is_none())
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, QueryFilter, QueryTrait};

    use super::*;
    use crate::entity::agent::{Column, Entity};

    #[test]
    fn a_word_is_found_in_any_case_on_the_engine_that_minds_case() {
        let sql = |which: Expr| Entity::find().filter(which).build(DbBackend::Postgres).to_string();
        let plain = sql(contains(Column::Name, "db_1"));
        assert!(plain.contains(r#"LOWER("agent"."name") LIKE"#), "{plain}");
        let other = sql(contains(Column::Name, "größe"));
        assert!(other.contains(r#"replace(LOWER("agent"."name"), 'Ö', 'ö') LIKE"#), "{other}");
    }

    #[test]
    fn tokens_and_words_are_told_apart() {
        let token = |k: &str, v: &str| Term::Token(k.into(), v.into());
        assert_eq!(
            terms(r#"rack:"Row 3" state:on  DB 10.0.0.7"#),
            [
                token("rack", "Row 3"),
                token("state", "on"),
                Term::Word("db".into()),
                Term::Word("10.0.0.7".into())
            ]
        );
        assert_eq!(terms("  "), []);
        assert_eq!(terms("State:off"), [token("state", "off")]);
        let card = "AA:bb:0C:dd:ee:01";
        assert_eq!(terms(card), [Term::Word(card.to_lowercase())]);
    }
}
