//! The web page, compiled in: a file less to lose.

use crate::app::Api;
use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use http::{HeaderName, HeaderValue, header};

/// Nothing from elsewhere, nothing inline, and nobody may frame it. Sockets go to where the page came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
/// A browser runs a module only under a type that is JavaScript's.
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A row of [`FILES`]: a file of `web/` under its own path.
macro_rules! file {
    ($content_type:ident, $path:literal) => {
        (concat!("/", $path), $content_type, include_str!(concat!("../../../web/", $path)))
    };
}

/// Everything there is, by name: path, content type, text. Any other path is as unknown as it is to the API.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../../../web/index.html")),
    file!(STYLE, "style.css"),
    file!(SCRIPT, "api.js"),
    file!(SCRIPT, "app.js"),
    file!(SCRIPT, "bus.js"),
    file!(SCRIPT, "directory.js"),
    file!(STYLE, "docs.css"),
    file!(SCRIPT, "docs.js"),
    file!(SCRIPT, "log.js"),
    file!(SCRIPT, "opening.js"),
    file!(SCRIPT, "outbox.js"),
    file!(SCRIPT, "presence.js"),
    file!(SCRIPT, "rest.js"),
    file!(SCRIPT, "rooms.js"),
    file!(SCRIPT, "session.js"),
    file!(SCRIPT, "socket.js"),
    file!(SCRIPT, "tools.js"),
    file!(SCRIPT, "views/composer.js"),
    file!(SCRIPT, "views/lists.js"),
    file!(SCRIPT, "views/messages.js"),
    file!(SCRIPT, "views/room.js"),
    file!(SCRIPT, "views/sidebar.js"),
    file!(SCRIPT, "views/sign-in.js"),
];

pub(super) fn router() -> Router<Api> {
    FILES.iter().fold(Router::new(), |router, &(path, content_type, text)| router.route(path, page(content_type, text)))
}

fn page(content_type: &'static str, text: &'static str) -> MethodRouter<Api> {
    get(move || async move { answer(content_type, text) })
}

/// A file of the page as an answer.
pub(super) fn answer(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A new version of the server brings a new page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let headers = headers.map(|(name, value): (HeaderName, _)| (name, HeaderValue::from_static(value)));
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs, path::Path};

    /// The files below a folder of `web/`, as the paths they are to be served under.
    fn below(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = format!("{prefix}/{}", entry.file_name().to_str().expect("a plain name"));
            if entry.path().is_dir() {
                below(&entry.path(), &path, found);
            } else {
                found.insert(path);
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_served_and_nothing_else() {
        let mut there = BTreeSet::new();
        below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../web"), "", &mut there);
        assert!(there.remove("/index.html") && there.insert("/".into()));
        // Under its own path beside the API: `routes/description.rs`.
        assert!(there.remove("/docs.html"));
        let served: BTreeSet<_> = FILES.iter().map(|(path, ..)| (*path).to_owned()).collect();
        assert_eq!(served, there);
    }

    #[test]
    fn a_content_type_fits_its_file() {
        for (path, content_type, _) in FILES {
            let fitting = match path.rsplit_once('.') {
                None => HTML,
                Some((_, "css")) => STYLE,
                Some((_, "js")) => SCRIPT,
                Some(_) => panic!("{path} is of a kind that the page had not yet"),
            };
            assert_eq!(*content_type, fitting, "{path}");
        }
    }
}
