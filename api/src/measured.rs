//! The metrics of the api, each with its name, its unit and what it says.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Describes every metric that this crate records.
pub(crate) fn describe() {
    describe_histogram!("rookery_api_request_seconds", Unit::Seconds, "REST and internal requests by route and status");
    describe_histogram!("rookery_api_write_seconds", Unit::Seconds, "one insert of messages into the store");
    describe_histogram!("rookery_api_write_batch_size", Unit::Count, "messages in one insert");
    describe_histogram!("rookery_api_commit_seconds", Unit::Seconds, "one transaction of another durable change");
    describe_counter!("rookery_api_write_clashes_total", "inserts that met a taken place or client id");
    describe_counter!("rookery_api_commit_clashes_total", "transactions that were decided again");
    describe_counter!("rookery_api_repeated_sends_total", "messages found stored under their client id");
    describe_counter!("rookery_api_writer_refused_total", "messages refused because too much waited");
    describe_counter!("rookery_api_writer_dropped_total", "writes dropped because they had waited too long");
    describe_counter!("rookery_api_published_events_total", "events handed to the bus");
    describe_histogram!("rookery_api_index_seconds", Unit::Seconds, "one write of messages into the search index");
    describe_gauge!("rookery_api_index_queue_bytes", Unit::Bytes, "messages that wait to be indexed");
    describe_counter!("rookery_api_indexed_messages_total", "messages written into the search index");
    describe_counter!("rookery_api_index_missed_total", "messages that did not fit into that queue, read again later");
    describe_counter!("rookery_api_limited_requests_total", "requests refused by the limit of their caller");
}
