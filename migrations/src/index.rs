//! Indices named after what they cover.

use sea_orm_migration::prelude::*;

/// Creates an index.
pub async fn index(manager: &SchemaManager<'_>, table: &str, columns: &[&str]) -> Result<(), DbErr> {
    manager.create_index(over("ix", table, columns)).await
}

/// Creates a unique index.
pub async fn unique(manager: &SchemaManager<'_>, table: &str, columns: &[&str]) -> Result<(), DbErr> {
    let mut index = over("uq", table, columns);
    index.unique();
    manager.create_index(index).await
}

fn over(prefix: &str, table: &str, columns: &[&str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(format!("{prefix}_{table}_{}", columns.join("_"))).table(Alias::new(table));
    for column in columns {
        index.col(Alias::new(*column));
    }
    index
}
