use super::*;
use crate::{
    Db,
    bench::{NODE, database, off},
    servers,
};

async fn due(db: &Db) -> Vec<JobId> {
    let tx = db.begin().await.unwrap();
    claim_due(&tx, NODE).await.unwrap()
}

fn done() -> Ending {
    let (reason, summary) = (String::new(), String::new());
    Ending { state: JobState::Succeeded, reason, summary, proof: None, result: None, alarm: false }
}

#[tokio::test]
async fn a_waiting_job_has_its_turn_in_the_transaction_that_ends_the_one_before() {
    let (db, _folder) = database().await;
    let server = serde_json::from_value(serde_json::json!({"name": "a"})).unwrap();
    let server = servers::add(db.writer(), TenantId::PROVIDER, server).await.unwrap().id;
    let mut ids = Vec::new();
    for waits in [false, true, true] {
        ids.push(add(db.writer(), off(server, waits)).await.unwrap().id);
    }
    assert_eq!(due(&db).await, ids[..1]);

    let tx = db.begin().await.unwrap();
    claim(&tx, ids[0], NODE).await.unwrap();
    assert_eq!(end(&tx, ids[0], NODE, done()).await.unwrap(), Some(ids[1]));
    tx.commit().await.unwrap();
    assert_eq!(due(&db).await, ids[1..2], "what a restart takes up");

    // The turn was lost on the way, as an older version could do.
    let lost = ActiveModel { active_server_id: Set(None), ..Default::default() };
    Entity::update_many().set(lost).exec(db.writer()).await.unwrap();
    for _ in 0..2 {
        let tx = db.begin().await.unwrap();
        queue::wake(&tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(due(&db).await, ids[1..2], "one of them, and the oldest");
    }
}
