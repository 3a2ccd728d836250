use crate::{asyncapi, routes::document};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// A file of the repository.
fn path(below: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(below)
}

/// Compares a committed copy with what it is a copy of; `make docs-api` renews it instead.
fn is_fresh(file: &str, json: &Value) {
    let fresh = serde_json::to_string_pretty(json).expect("is JSON") + "\n";
    #[expect(clippy::disallowed_methods, reason = "a test's own switch and no setting")]
    if std::env::var_os("ROOKERY_RENEW_DOCS").is_some() {
        fs::write(path(file), &fresh).expect("is written");
    }
    let there = fs::read_to_string(path(file)).unwrap_or_default();
    assert!(there == fresh, "{file} is not what the code says any more: `make docs-api` renews it");
}

fn openapi() -> Value {
    serde_json::to_value(document()).expect("is JSON")
}

/// Everything in a document, with what is inside of it.
fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(fields) => fields.values().for_each(|field| walk(field, visit)),
        _ => {}
    }
}

#[test]
fn the_committed_description_is_the_one_of_the_code() {
    is_fresh("docs/openapi.json", &openapi());
}

#[test]
fn the_committed_description_of_the_sockets_is_the_one_of_the_code() {
    is_fresh("docs/asyncapi.json", &asyncapi::document());
}

#[test]
fn every_operation_has_a_name_of_its_own_an_area_and_a_summary() {
    let document = openapi();
    let areas: BTreeSet<_> =
        document["tags"].as_array().expect("areas").iter().map(|tag| &tag["name"]).map(Value::to_string).collect();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let name = operation["operationId"].as_str().unwrap_or_default();
            assert!(names.insert(name), "{method} {path} shares its name {name}");
            assert!(areas.contains(&operation["tags"][0].to_string()), "{method} {path} is of no area in TAGS");
            assert!(operation["summary"].as_str().is_some_and(|it| !it.is_empty()), "{method} {path} has no summary");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    for document in [openapi(), asyncapi::document()] {
        walk(&document, &mut |value| {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap_or_default();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
        });
    }
}

#[test]
fn no_route_for_clients_is_without_a_description() {
    for entry in fs::read_dir(path("api/src/routes")).expect("a folder") {
        let file = entry.expect("an entry").path();
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // What gateways ask, and the files of the web page.
        if ["internal.rs", "page.rs"].contains(&name) {
            continue;
        }
        let text = fs::read_to_string(&file).expect("is read");
        assert!(!text.contains(".route("), "{name}: .route(…) goes past the description, .routes(routes!(…)) does not");
    }
}

/// The examples of bodies in the documentation: what they are for, and the JSON.
fn bodies() -> Vec<(String, Value)> {
    let text = fs::read_to_string(path("docs/rest.md")).expect("is read");
    let blocks = text.split("```json body of ").skip(1).map(|block| {
        let (what, rest) = block.split_once('\n').expect("a first line");
        let json = rest.split("```").next().unwrap_or_default();
        (what.to_owned(), serde_json::from_str(json).unwrap_or_else(|error| panic!("{what}: {error}")))
    });
    blocks.collect()
}

#[test]
fn examples_of_bodies_have_the_fields_of_their_description() {
    let (document, bodies) = (openapi(), bodies());
    assert!(bodies.len() >= 3, "the examples are found");
    for (what, body) in bodies {
        let (method, path) = what.split_once(' ').expect("a method and a path");
        let operation = &document["paths"][format!("/api/v1{path}")][method.to_lowercase()];
        let reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
        let schema = reference.and_then(|it| document.pointer(it.strip_prefix('#')?));
        let schema = schema.unwrap_or_else(|| panic!("{what} has no body"));
        for field in body.as_object().expect("an object").keys() {
            assert!(schema["properties"].get(field).is_some(), "{what} has no {field}");
        }
        for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(body.get(field).is_some(), "{what} lacks {field}");
        }
    }
}

/// A path with every parameter under the same name, and without a query.
fn template(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn every_route_that_the_documentation_names_is_there() {
    let document = openapi();
    let mut there = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            there.insert((method.to_uppercase(), template(path.strip_prefix("/api/v1").unwrap_or(path))));
        }
    }
    let mut named = 0;
    for (file, column) in [("docs/rest.md", 1), ("docs/migrating.md", 2)] {
        let text = fs::read_to_string(path(file)).expect("is read");
        for row in text.lines().filter(|line| line.starts_with('|')) {
            let cell = row.split(" | ").nth(column - 1).unwrap_or_default();
            for code in cell.split('`').skip(1).step_by(2) {
                let Some((method, rest)) = code.split_once(' ') else { continue };
                if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method) || !rest.starts_with('/') {
                    continue;
                }
                let route = (method.to_owned(), template(rest.split(' ').next().unwrap_or_default()));
                assert!(there.contains(&route), "{file}: {code} is not there");
                named += 1;
            }
        }
    }
    assert!(named >= 60, "the tables are found");
}
