//! The parameters of URLs, as the description gives them; [`Params`](crate::paging::Params) is what reads them.

use rookery_shared::{
    clock::Time,
    ids::{RoomId, UserId},
};
use utoipa::{IntoParams, ToSchema};

/// A page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Params reads")]
pub(crate) struct Paging {
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next` of a page: what comes after it. Not together with `before`.
    after: Option<String>,
    /// `prev` of a page: what comes before it. Not together with `after`.
    before: Option<String>,
}

/// A page of a log, whose places are numbers.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Params reads")]
pub(crate) struct SeqPaging {
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// What comes after this place. Not together with `before`.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991u64)]
    after: Option<u64>,
    /// What comes before this place. Not together with `after`.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991u64)]
    before: Option<u64>,
}

/// A place in a log from which on everything is wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Params reads")]
pub(crate) struct Since {
    /// The last place that the caller has: what comes after it. `after` says the same; not together with `before`.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991u64)]
    since: Option<u64>,
}

/// What names of people begin with.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Params reads")]
pub(crate) struct Prefix {
    /// The beginning of a username or of a display name.
    #[param(min_length = 1, max_length = 64, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    q: String,
}

/// What names are searched for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what Params reads")]
pub(crate) struct Wanted {
    /// The beginning of a word of the name.
    #[param(max_length = 100, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    q: Option<String>,
}

/// What is looked for in messages.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what Params reads")]
pub(crate) struct MessageSearch {
    /// Words, beginnings of words, emoji: each of them is in the message. Cases and widths do not matter, accents do.
    #[param(min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    q: String,
    /// Only in this room; else in all that the caller is in.
    #[param(inline)]
    room_id: Option<RoomId>,
    /// Only by this user.
    #[param(inline)]
    from: Option<UserId>,
    /// Only what was sent at this time or later.
    #[param(inline)]
    since: Option<Time>,
    /// Only what was sent before this time.
    #[param(inline)]
    until: Option<Time>,
    /// The most relevant first (the default), or the newest.
    #[param(inline)]
    sort: Option<MessageOrder>,
}

/// In which order messages that were found are listed.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes what Params reads")]
pub(crate) enum MessageOrder {
    Relevance,
    Newest,
}
