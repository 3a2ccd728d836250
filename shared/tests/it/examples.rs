//! The JSON in the documentation: what the types read, and what they write.

use rookery_shared::{
    model::{LogEntry, Message, Page, Room, RoomSummary, Tokens},
    protocol::{
        Problem,
        command::Draft,
        vocabulary::{COMMANDS, EVENTS, Log, Shape, shape},
    },
};
use serde_json::Value;
use std::{fs, path::Path};

/// The shapes of REST that examples name.
const SHAPES: &[Shape] = &[
    shape::<Tokens>(),
    shape::<Draft>(),
    shape::<Message>(),
    shape::<Room>(),
    shape::<RoomSummary>(),
    shape::<LogEntry>(),
    shape::<Page<Message>>(),
];

/// A fenced block of JSON: what it says it is, and its values.
struct Example {
    place: String,
    sort: String,
    values: Vec<Value>,
}

/// Every fenced block of JSON in the documentation.
fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for entry in fs::read_dir(docs).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("is read");
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            let Some(sort) = line.trim().strip_prefix("```json") else { continue };
            let place = format!("{}:{}", path.display(), at + 1);
            let block: Vec<&str> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```").collect();
            let values: serde_json::Result<Vec<_>> =
                serde_json::Deserializer::from_str(&block.join("\n")).into_iter::<Value>().collect();
            let values = values.unwrap_or_else(|error| panic!("{place} is no JSON: {error}"));
            examples.push(Example { place, sort: sort.trim().to_owned(), values });
        }
    }
    examples
}

/// What a client leaves out it may as well send as null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, it)| !it.is_null()).map(|(name, it)| (name, without_nulls(it))).collect()
        }
        other => other,
    }
}

/// Whether a shape reads this and writes the same.
fn holds(shape: Shape, value: &Value, said_by_clients: bool) -> Result<(), String> {
    let again = (shape.again)(&value.to_string()).map_err(|error| error.to_string())?;
    let same = again == *value || said_by_clients && without_nulls(again.clone()) == without_nulls(value.clone());
    if same { Ok(()) } else { Err(format!("is written as {again}")) }
}

/// A frame as it travels over `/ws`.
fn frame(value: &Value) -> Result<(), String> {
    let name = value["type"].as_str().ok_or("has no type")?;
    let data = &value["data"];
    let with = |field: &str| value.get(field).is_some();
    if with("id") || name == "resumed" {
        if name == "error" {
            return holds(shape::<Problem>(), data, false);
        }
        if let Some(word) = COMMANDS.iter().find(|word| word.name == name) {
            return holds(word.data, data, true);
        }
        let replies = COMMANDS.iter().filter_map(|word| word.reply).filter(|(reply, _)| *reply == name);
        let tried: Vec<_> = replies.map(|(_, shape)| holds(shape, data, false)).collect();
        return tried.into_iter().reduce(Result::or).unwrap_or_else(|| Err("is no reply".to_owned()));
    }
    let word = EVENTS.iter().find(|word| word.name == name).ok_or("is no event")?;
    let log = match (with("roomId"), with("seq")) {
        (true, true) => Log::Room,
        (false, true) => Log::User,
        _ => Log::None,
    };
    if log != word.log {
        return Err(format!("is an entry of {:?}", word.log));
    }
    holds(word.data, data, false)
}

#[test]
fn every_example_in_the_documentation_is_what_the_types_read_and_write() {
    let examples = examples();
    assert!(examples.len() >= 10, "the examples are found");
    for Example { place, sort, values } in examples {
        assert!(!values.is_empty(), "{place} is empty");
        for value in values {
            let held = match sort.as_str() {
                "frames" => frame(&value),
                // What the api alone reads is tried there.
                _ if sort.starts_with("body of ") => Ok(()),
                name => match SHAPES.iter().find(|shape| (shape.name)() == name) {
                    Some(shape) => holds(*shape, &value, name == "Draft"),
                    None => Err(format!("says that it is `{name}`, which is not known here")),
                },
            };
            held.unwrap_or_else(|reason| panic!("{place}: {value} {reason}"));
        }
    }
}
