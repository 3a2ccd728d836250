//! Records: by key, by id, by owner, and guarded by their version.

use super::{conformance, fixture::Fixture};
use rookery_api::store::{
    Op, Part, StoreError, Unique,
    records::{Area, RecordKey, RecordRow},
};
use uuid::Uuid;

conformance! {
    a_record_is_put_once_and_replaced_by_its_next_version,
    a_record_is_found_by_key_and_by_id_and_goes_once,
    records_of_an_owner_are_listed_newest_first_both_ways,
}

fn record(area: Area, owner: Uuid, id: Uuid) -> RecordRow {
    let data = format!("{{\"about\":\"{id}\"}}");
    RecordRow { key: RecordKey { area, owner, id }, place: Uuid::now_v7(), version: 1, data }
}

async fn a_record_is_put_once_and_replaced_by_its_next_version(store: Fixture) {
    let first = record(Area::Ban, Uuid::now_v7(), Uuid::now_v7());
    store.commit(&[], &[Op::PutRecord(first.clone())]).await.expect("put");
    let again = store.commit(&[], &[Op::PutRecord(first.clone())]).await;
    assert!(matches!(again, Err(StoreError::Taken(Unique::Record))), "{again:?}");
    let next = RecordRow { version: 2, data: "{}".into(), ..first.clone() };
    store.commit(&[], &[Op::PutRecord(next.clone())]).await.expect("replaced");
    let late = store.commit(&[], &[Op::PutRecord(next.clone())]).await;
    assert!(matches!(late, Err(StoreError::Stale(_))), "{late:?}");
    assert_eq!(store.records(&[first.key]).await.expect("read"), [Some(next)]);
}

async fn a_record_is_found_by_key_and_by_id_and_goes_once(store: Fixture) {
    let (owner, id) = (Uuid::now_v7(), Uuid::now_v7());
    let (invite, ban) = (record(Area::Invite, owner, id), record(Area::Ban, owner, id));
    store.commit(&[], &[Op::PutRecord(invite.clone()), Op::PutRecord(ban.clone())]).await.expect("put");
    let nobody = RecordKey { id: Uuid::now_v7(), ..ban.key };
    let found = store.records(&[ban.key, nobody, invite.key]).await.expect("read");
    assert_eq!(found, [Some(ban.clone()), None, Some(invite.clone())]);
    assert_eq!(store.record_by_id(Area::Invite, id).await.expect("read"), Some(invite.clone()));
    assert_eq!(store.record_by_id(Area::Block, id).await.expect("read"), None);
    store.commit(&[], &[Op::DeleteRecord(invite.key)]).await.expect("deleted");
    let again = store.commit(&[], &[Op::DeleteRecord(invite.key)]).await;
    assert!(matches!(again, Err(StoreError::Stale(_))), "{again:?}");
    assert_eq!(store.records(&[invite.key, ban.key]).await.expect("read"), [None, Some(ban)]);
}

async fn records_of_an_owner_are_listed_newest_first_both_ways(store: Fixture) {
    let owner = Uuid::now_v7();
    let mut all: Vec<RecordRow> = (0..5).map(|_| record(Area::Ban, owner, Uuid::now_v7())).collect();
    all.sort_by_key(|record| record.place);
    let others = [record(Area::Ban, Uuid::now_v7(), Uuid::now_v7()), record(Area::Invite, owner, Uuid::now_v7())];
    let ops: Vec<Op> = all.iter().chain(&others).cloned().map(Op::PutRecord).collect();
    store.commit(&[], &ops).await.expect("put");
    all.reverse();
    let listed = async |part, limit| store.list_records(Area::Ban, owner, part, limit).await.expect("read");
    assert_eq!(listed(Part::First, 2).await, all[..2]);
    assert_eq!(listed(Part::After(all[1].place), 2).await, all[2..4]);
    assert_eq!(listed(Part::After(all[3].place), 9).await, all[4..]);
    assert_eq!(listed(Part::Before(all[3].place), 2).await, all[1..3]);
    assert_eq!(listed(Part::Before(all[0].place), 2).await, []);
}
