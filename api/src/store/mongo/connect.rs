//! Connects, and makes what must be there before the first call: collections, indexes, the epoch.

use super::{error::is_taken, fields::Fields, tables::Tables};
use crate::store::{StoreError, codec::Unreadable};
use mongodb::{
    Client, Collection, Database, IndexModel,
    bson::{Bson, Document, RawDocumentBuf, doc},
    options::{
        ClientOptions, IndexOptions, ReadConcern, ReadPreference, ReturnDocument, SelectionCriteria, WriteConcern,
    },
};
use std::time::Duration;
use uuid::Uuid;

/// How long a call waits for a primary. Clients are promised "unavailable" within 3 s.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may take, and how often the servers are asked how they are: a primary that stopped without
/// closing its connections is found out after the sum of both.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const HEARTBEAT: Duration = Duration::from_secs(2);

/// How long the server waits for a majority before it says that it did not get one; shorter than a call may take.
const MAJORITY_TIMEOUT: Duration = Duration::from_millis(2_500);

/// What `transactionLifetimeLimitSeconds` of the servers should be; a transaction that is open for longer is of an api
/// that has gone.
const TRANSACTION_SECONDS: i64 = 3;

/// Connections to one server, where the connection string does not say; the driver's own 10 would make batches of
/// different rooms wait for one another.
const POOL: u32 = 64;

/// Connects to a replica set. Durability and consistency are not the connection string's to choose.
pub(super) async fn connect(uri: &str) -> Result<Client, StoreError> {
    let mut options = ClientOptions::parse(uri).await?;
    let majority = WriteConcern::builder()
        .w(mongodb::options::Acknowledgment::Majority)
        .journal(true)
        .w_timeout(MAJORITY_TIMEOUT)
        .build();
    options.write_concern = Some(majority);
    options.read_concern = Some(ReadConcern::majority());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.retry_writes = Some(true);
    options.retry_reads = Some(true);
    options.server_selection_timeout = Some(SELECTION_TIMEOUT);
    options.connect_timeout = Some(CONNECT_TIMEOUT);
    options.heartbeat_freq = Some(HEARTBEAT);
    options.app_name.get_or_insert_with(|| "rookery-api".into());
    options.max_pool_size.get_or_insert(POOL);
    Ok(Client::with_options(options)?)
}

/// Makes the collections and their indexes; those that are there stay as they are.
pub(super) async fn make_indexes(tables: &Tables) -> Result<(), StoreError> {
    let lookup = |keys: Document| IndexModel::builder().keys(keys).build();
    let unique = |keys: Document, only_with: Option<&str>| {
        let filter = only_with.map(|field| doc! { field: { "$exists": true } });
        let options = IndexOptions::builder().unique(true).partial_filter_expression(filter).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    let partial = |keys: Document, field: &str| {
        let only = doc! { field: { "$exists": true } };
        IndexModel::builder()
            .keys(keys)
            .options(IndexOptions::builder().partial_filter_expression(only).build())
            .build()
    };
    let of_table: [(&Collection<RawDocumentBuf>, Vec<IndexModel>); 8] = [
        (
            &tables.users,
            vec![
                unique(doc! { "usernameKey": 1 }, None),
                unique(doc! { "emailKey": 1 }, None),
                lookup(doc! { "displayKey": 1, "usernameKey": 1 }),
                partial(doc! { "admin": 1 }, "admin"),
            ],
        ),
        (&tables.sessions, vec![lookup(doc! { "user": 1 })]),
        (
            &tables.rooms,
            vec![
                unique(doc! { "conversationKey": 1 }, Some("conversationKey")),
                lookup(doc! { "visibility": 1, "_id": -1 }),
                partial(doc! { "leftover": 1 }, "leftover"),
            ],
        ),
        (
            &tables.members,
            vec![
                unique(doc! { "room": 1, "user": 1 }, None),
                lookup(doc! { "user": 1 }),
                lookup(doc! { "room": 1, "usernameKey": 1 }),
            ],
        ),
        // A message's id is the entry's `_id`, which is indexed as it is.
        (
            &tables.log,
            vec![
                unique(doc! { "b": 1, "s": 1, "n": 1 }, None),
                unique(doc! { "b": 1, "s": 1, "u": 1, "c": 1 }, Some("c")),
            ],
        ),
        // Holds all that the question who read a message needs.
        (&tables.reads, vec![lookup(doc! { "room": 1, "upTo": 1, "user": 1, "at": 1, "from": 1 })]),
        (
            &tables.records,
            vec![
                unique(doc! { "area": 1, "owner": 1, "id": 1 }, None),
                lookup(doc! { "area": 1, "owner": 1, "place": -1 }),
                lookup(doc! { "area": 1, "id": 1 }),
            ],
        ),
        // The server finds rare words by the first; for one that is in many messages it reads the newest by the second.
        (
            &tables.search,
            vec![lookup(doc! { "s": 1, "w": 1, "t": -1, "_id": -1 }), lookup(doc! { "s": 1, "t": -1, "_id": -1 })],
        ),
    ];
    for (collection, indexes) in of_table {
        collection.create_indexes(indexes).await?;
    }
    Ok(())
}

/// Brings what an older version wrote up to date, each step once.
pub(super) async fn migrate(tables: &Tables) -> Result<(), StoreError> {
    once(tables, "members-named", name_members(tables)).await?;
    once(tables, "users-named", tables.name_users()).await
}

async fn once(
    tables: &Tables,
    step: &str,
    work: impl Future<Output = Result<(), StoreError>>,
) -> Result<(), StoreError> {
    let done = doc! { "_id": step };
    if tables.meta().find_one(done.clone()).await?.is_some() {
        return Ok(());
    }
    work.await?;
    tables.meta().update_one(done, doc! { "$currentDate": { "at": true } }).upsert(true).await?;
    Ok(())
}

/// Writes beside memberships the name that they are listed by.
async fn name_members(tables: &Tables) -> Result<(), StoreError> {
    let pipeline = [
        doc! { "$match": { "usernameKey": null } },
        doc! { "$lookup": { "from": "users", "localField": "user", "foreignField": "_id", "as": "person" } },
        doc! { "$unwind": "$person" },
        doc! { "$project": { "usernameKey": "$person.usernameKey" } },
        doc! { "$merge": { "into": "members", "on": "_id", "whenMatched": "merge", "whenNotMatched": "discard" } },
    ];
    tables.members.aggregate(pipeline).await?;
    Ok(())
}

/// Warns if the server lets the transaction of an api that was killed block others for long. A server that does not
/// tell (routers do not, and not every account may ask) is believed to be set up well.
pub(super) async fn check_transactions(client: &Client) {
    let asked = doc! { "getParameter": 1, "transactionLifetimeLimitSeconds": 1 };
    let Ok(told) = client.database("admin").run_command(asked).await else { return };
    let seconds = told.get("transactionLifetimeLimitSeconds").and_then(|value| match value {
        Bson::Int32(seconds) => Some(i64::from(*seconds)),
        Bson::Int64(seconds) => Some(*seconds),
        _ => None,
    });
    if let Some(seconds) = seconds.filter(|seconds| *seconds > TRANSACTION_SECONDS) {
        tracing::warn!(
            seconds,
            "an api that is killed can block a room for this long: start mongod with \
             --setParameter transactionLifetimeLimitSeconds={TRANSACTION_SECONDS}"
        );
    }
}

/// The epoch; makes it where there is none.
pub(super) async fn epoch(database: &Database) -> Result<String, StoreError> {
    let meta = database.collection::<RawDocumentBuf>("meta");
    let make = async || {
        meta.find_one_and_update(
            doc! { "_id": "epoch" },
            doc! { "$setOnInsert": { "value": Uuid::new_v4().to_string() } },
        )
        .upsert(true)
        .return_document(ReturnDocument::After)
        .await
    };
    let found = match make().await {
        // Two that open a new store at once may both try to insert; the other one has done it then.
        Err(error) if is_taken(&error) => make().await?,
        found => found?,
    };
    let found = found.ok_or(Unreadable("the epoch"))?;
    Ok(Fields::of(&found).text("value")?)
}
