//! Filters that a person types: words and `key:value` tokens.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QuerySelect,
    sea_query::{Expr, ExprTrait, LikeExpr, SimpleExpr},
};

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
            Some((key, value)) if !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase()) => {
                Term::Token(key.to_owned(), value.to_owned())
            }
            _ => Term::Word(part.to_lowercase()),
        })
        .collect()
}

/// Finds a word anywhere in a column, with `%` and `_` taken literally.
pub fn contains(column: impl ColumnTrait, word: &str) -> SimpleExpr {
    let escaped = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    Expr::col(column.as_column_ref()).like(LikeExpr::new(format!("%{escaped}%")).escape('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
