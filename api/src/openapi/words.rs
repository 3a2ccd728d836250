//! The texts that clients send, as the description gives them; `text.rs` is what decides.
//!
//! Lengths are those of the contract. A schema counts code points and the API counts what people see as characters,
//! after NFC: where they differ the API accepts more at the upper end and less at the lower one.

use utoipa::ToSchema;

macro_rules! word {
    ($(#[$about:meta])* $name:ident { $($rule:tt)* }) => {
        $(#[$about])*
        #[derive(ToSchema)]
        #[schema(value_type = String, $($rule)*)]
        #[expect(dead_code, reason = "describes what is read as a String")]
        pub(crate) struct $name(String);
    };
}

word! {
    /// 3 to 30 letters, digits, `_`, `.` or `-` of any script; compared after NFKC and case folding.
    Username { examples("ada"), min_length = 3, max_length = 30, pattern = r"^[\p{L}\p{N}_.-][\p{L}\p{M}\p{N}_.-]*$" }
}
word! {
    /// An e-mail address.
    Email { examples("ada@example.org"), format = "email", max_length = 254 }
}
word! {
    /// 8 to 128 characters.
    Password { examples("correct horse battery"), min_length = 8, max_length = 128 }
}
word! {
    /// A name that people read: one line of 1 to 64 characters, more than white space.
    Name { examples("Ada L."), min_length = 1, max_length = 64, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$" }
}
word! {
    /// The name of a room: one line of 1 to 100 characters, more than white space.
    RoomName { examples("Rookery talk"), min_length = 1, max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$" }
}
word! {
    /// The words of a message: 1 to 4,000 characters and at most 16 KiB, more than white space; no control characters
    /// other than newline and tab.
    Content { min_length = 1, max_length = 4_000, pattern = r"^(?:[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\r\n)*[^\u0000-\u001f\u007f-\u009f\s](?:[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\r\n)*$" }
}
word! {
    /// The sender's own key for a message: 1 to 128 characters without control characters; made if absent.
    ClientId { min_length = 1, max_length = 128, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$" }
}
word! {
    /// Several lines of at most 1,000 characters; no control characters other than newline and tab.
    Lines { max_length = 1_000, pattern = r"^(?:[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\r\n)*$" }
}
word! {
    /// Several lines of at most 500 characters; no control characters other than newline and tab.
    Reason { max_length = 500, pattern = r"^(?:[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]|\r\n)*$" }
}
word! {
    /// An address on the web.
    WebUrl { examples("https://example.org/ada.png"), max_length = 512, pattern = r"^https?://[^\s\u0000-\u001f\u007f-\u009f]+$" }
}
word! {
    /// A few words beside a status: one line of at most 100 characters, empty or more than white space.
    StatusText { examples("at lunch"), max_length = 100, pattern = r"^(?:[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*)?$" }
}
