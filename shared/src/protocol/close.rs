//! Why a server closes a connection: one table of code, reason, and whether coming again makes sense.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $reconnect:literal;)*) => {
        /// Why the server closes a connection.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum CloseReason { $($(#[$doc])* $name,)* }

        impl CloseReason {
            /// The WebSocket close code (4000 to 4999 are free for applications, RFC 6455 section 7.4.2).
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* }
            }

            /// The reason that travels with it, and the label in metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether the client should come again by itself, with its cursors.
            pub const fn should_reconnect(self) -> bool {
                match self { $(Self::$name => $reconnect,)* }
            }

            /// The reason with this code.
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

reasons! {
    /// The client closed, and this is the answer.
    Normal = 1000, "normal", false;
    /// The node goes away.
    Draining = 1001, "draining", true;
    /// Not a frame of the protocol.
    ProtocolError = 1002, "protocol_error", false;
    /// A binary frame where only text is understood.
    UnsupportedData = 1003, "unsupported_data", false;
    /// Text that is not UTF-8.
    InvalidText = 1007, "invalid_text", false;
    /// A frame larger than the limit.
    TooLarge = 1009, "too_large", false;
    /// Something of ours failed.
    Internal = 1011, "internal", true;
    /// No sign-in before the deadline.
    SignInTimeout = 4000, "sign_in_timeout", false;
    /// The token is wrong or foreign.
    Unauthorized = 4001, "unauthorized", false;
    /// The token ended and no fresh one came.
    TokenExpired = 4002, "token_expired", false;
    /// The session ended: signed out, revoked, account deleted.
    SessionEnded = 4003, "session_ended", false;
    /// The oldest of too many connections of one user.
    TooManyConnections = 4004, "too_many_connections", false;
    /// More waits for the client than it may; come again and resume.
    SlowConsumer = 4005, "slow_consumer", true;
    /// Nothing heard for too long.
    HeartbeatTimeout = 4006, "heartbeat_timeout", true;
    /// Cannot be served now; come again.
    Unavailable = 4007, "unavailable", true;
    /// Commands without end, in spite of being refused.
    RateLimited = 4008, "rate_limited", true;
    /// An administrator closed the user's connections; their sessions go on.
    Disconnected = 4009, "disconnected", true;
}
