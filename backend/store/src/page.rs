//! Pages: cursors that stay right while rows come and go.

use rackhand_wire::{
    FieldError,
    api::page::{ListQuery, Page},
};
use uuid::Uuid;

use crate::{
    Error, Result,
    filter::{Term, terms},
};

/// How many rows, from 1 to 500.
pub fn limit(query: &ListQuery) -> Result<u64> {
    match query.limit {
        None => Ok(50),
        Some(limit @ 1..=500) => Ok(u64::from(limit)),
        Some(_) => Err(field("limit", "out_of_range", "limit must be between 1 and 500.")),
    }
}

/// Which column, and whether descending.
pub fn sort<'a>(query: &ListQuery, columns: &[&'a str], default: &'a str) -> Result<(&'a str, bool)> {
    let asked = query.sort.as_deref().unwrap_or(default);
    let (name, descending) = match asked.strip_prefix('-') {
        Some(name) => (name, true),
        None => (asked, false),
    };
    match columns.iter().find(|column| **column == name) {
        Some(column) => Ok((column, descending)),
        None => Err(field(
            "sort",
            "unknown_choice",
            &format!("sort must be one of {}, with “-” in front for descending.", columns.join(", ")),
        )),
    }
}

/// A place in a list: the sort value and the id of the last row seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub value: String,
    pub id: Uuid,
}

impl Cursor {
    pub fn encode(value: &str, id: Uuid) -> String {
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        format!("{}{hex}", id.simple())
    }

    pub fn decode(query: &ListQuery) -> Result<Option<Self>> {
        let Some(text) = query.cursor.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let parsed = Self::parse(text);
        parsed
            .map(Some)
            .ok_or_else(|| field("cursor", "unknown_cursor", "This cursor is not from this list."))
    }

    fn parse(text: &str) -> Option<Self> {
        let id = Uuid::parse_str(text.get(..32)?).ok()?;
        let hex = text.get(32..)?;
        if hex.len() % 2 != 0 || hex.len() > 4096 || !hex.is_ascii() {
            return None;
        }
        let bytes: Option<Vec<u8>> = (0..hex.len())
            .step_by(2)
            .map(|at| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
            .collect();
        Some(Self { value: String::from_utf8(bytes?).ok()?, id })
    }

    pub fn number(&self) -> Result<i64> {
        self.value
            .parse()
            .map_err(|_| field("cursor", "unknown_cursor", "This cursor is not from this list."))
    }
}

/// Cuts one row too many off and makes the cursor of the next page.
pub fn cut<M, T>(
    mut rows: Vec<M>,
    limit: u64,
    cursor: impl Fn(&M) -> String,
    make: impl Fn(M) -> T,
) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(cursor);
    Page { items: rows.into_iter().map(make).collect(), next }
}

/// Pages a list that is short enough to be read as a whole, by name; `named` gives a row's name and id. Words of
/// the filter are looked for in names.
///
/// # Errors
/// A field error of the query.
pub fn page_of<T>(all: Vec<T>, query: &ListQuery, named: impl Fn(&T) -> (&str, Uuid)) -> Result<Page<T>> {
    let key = |row: &T| {
        let (name, id) = named(row);
        (name.to_lowercase(), id)
    };
    page_by(all, query, "name", key, |row| key(row).0)
}

/// Pages a list that is short enough to be read as a whole, by what `key` gives, which is called `sorted` in the
/// query. Words of the filter are looked for in `text`, which is lower case.
///
/// # Errors
/// A field error of the query.
pub fn page_by<T>(
    all: Vec<T>,
    query: &ListQuery,
    sorted: &str,
    key: impl Fn(&T) -> (String, Uuid),
    text: impl Fn(&T) -> String,
) -> Result<Page<T>> {
    let (limit, (_, descending)) = (limit(query)?, sort(query, &[sorted], sorted)?);
    let cursor = Cursor::decode(query)?;
    let mut words = Vec::new();
    for term in terms(query.q.as_deref().unwrap_or_default()) {
        match term {
            Term::Word(word) => words.push(word),
            Term::Token(key, _) => return Err(Error::Field(unknown_token(&key))),
        }
    }
    let in_order = |one: &(String, Uuid), other: &(String, Uuid)| {
        let order = one.cmp(other);
        if descending { order.reverse() } else { order }
    };
    let mut rows: Vec<T> = all;
    rows.retain(|row| {
        let key = key(row);
        let comes = cursor.as_ref().is_none_or(|last| in_order(&(last.value.clone(), last.id), &key).is_lt());
        comes && words.iter().all(|word| text(row).contains(word))
    });
    rows.sort_by(|one, other| in_order(&key(one), &key(other)));
    let cursor = |row: &T| {
        let (value, id) = key(row);
        Cursor::encode(&value, id)
    };
    Ok(cut(rows, limit, cursor, |row| row))
}

/// Parses the id in a token of a filter.
pub fn id(text: &str) -> Result<Uuid> {
    Uuid::parse_str(text).map_err(|_| field("q", "not_an_id", "This token needs an id."))
}

/// Checks the value in a token that knows few: whoever mistypes one would see that all is quiet.
pub fn choice<'a>(key: &str, value: &'a str, known: &[&str]) -> Result<&'a str> {
    if known.contains(&value) {
        return Ok(value);
    }
    Err(field("q", "unknown_choice", &format!("{key}: must be one of {}.", known.join(", "))))
}

/// Says that a filter has no such token.
pub fn unknown_token(key: &str) -> FieldError {
    FieldError::new("q", "unknown_token", format!("There is no filter “{key}:” here."))
}

fn field(name: &str, code: &str, message: &str) -> Error {
    Error::Field(FieldError::new(name, code, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_any_text() {
        let id = Uuid::from_u128(7);
        for value in ["", "srv-03", "größe 🎉", "\u{0}"] {
            let query = ListQuery { cursor: Some(Cursor::encode(value, id)), ..ListQuery::default() };
            assert_eq!(Cursor::decode(&query).unwrap(), Some(Cursor { value: value.into(), id }));
        }
    }

    #[test]
    fn a_short_list_is_paged_by_name_both_ways() {
        let all = || {
            ["beta", "Alpha", "gamma", "alpha"]
                .into_iter()
                .zip(1..)
                .map(|(name, at)| (name, Uuid::from_u128(at)))
        };
        let walk = |sort: &str, q: &str| {
            let mut seen = Vec::new();
            let mut query = ListQuery {
                limit: Some(1),
                sort: Some(sort.to_owned()),
                q: Some(q.to_owned()),
                cursor: None,
            };
            loop {
                let page = page_of(all().collect(), &query, |(name, id)| (name, *id)).unwrap();
                assert!(page.items.len() <= 1);
                seen.extend(page.items.into_iter().map(|(name, _)| name));
                query.cursor = page.next;
                if query.cursor.is_none() {
                    return seen;
                }
            }
        };
        assert_eq!(walk("name", ""), ["Alpha", "alpha", "beta", "gamma"]);
        assert_eq!(walk("-name", ""), ["gamma", "beta", "alpha", "Alpha"]);
        assert_eq!(walk("name", "AL PH"), ["Alpha", "alpha"]);
        assert!(walk("name", "delta").is_empty());
        for query in [
            ListQuery { limit: Some(0), ..ListQuery::default() },
            ListQuery { sort: Some("age".into()), ..ListQuery::default() },
            ListQuery { q: Some("site:x".into()), ..ListQuery::default() },
        ] {
            assert!(page_of(all().collect(), &query, |(name, id)| (name, *id)).is_err());
        }
    }

    #[test]
    fn a_foreign_cursor_is_refused_by_name() {
        for text in ["x", "0123", "zz00000000000000000000000000000000", "😀😀😀😀😀😀😀😀😀😀😀😀"]
        {
            let query = ListQuery { cursor: Some(text.into()), ..ListQuery::default() };
            assert!(matches!(Cursor::decode(&query), Err(Error::Field(error)) if error.field == "cursor"));
        }
    }
}
