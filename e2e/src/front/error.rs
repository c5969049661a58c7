//! What the front answers when it is the one that refuses: in ClickHouse's form and words.

use http::StatusCode;

/// The engine's version, which a server puts behind each of its errors.
const VERSION: &str = "26.7.2.1";

/// An error of ClickHouse, by number and name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Code: {code}. DB::Exception: {text}. ({name}) (version {VERSION})")]
pub struct Refusal {
    /// ClickHouse's number.
    pub code: u32,
    /// Its name.
    pub name: &'static str,
    /// What is wrong.
    pub text: String,
    /// What a server answers with this code.
    pub status: StatusCode,
}

impl Refusal {
    fn new(code: u32, name: &'static str, status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            code,
            name,
            text: text.into(),
            status,
        }
    }

    /// 497.
    pub fn denied(text: impl Into<String>) -> Self {
        Self::new(
            497,
            "ACCESS_DENIED",
            StatusCode::INTERNAL_SERVER_ERROR,
            text,
        )
    }

    /// 497 for a privilege that the user lacks.
    pub fn lacks(user: &str, grant: &str) -> Self {
        Self::denied(format!(
            "{user}: Not enough privileges. To execute this query, it's necessary to have the grant {grant}"
        ))
    }

    /// 516.
    pub fn unauthenticated(user: &str) -> Self {
        let text =
            "Authentication failed: password is incorrect, or there is no user with such name";
        Self::new(
            516,
            "AUTHENTICATION_FAILED",
            StatusCode::FORBIDDEN,
            format!("{user}: {text}"),
        )
    }

    /// 62.
    pub fn syntax(text: impl Into<String>) -> Self {
        Self::new(62, "SYNTAX_ERROR", StatusCode::BAD_REQUEST, text)
    }

    /// 164.
    pub fn read_only(setting: &str) -> Self {
        let text = format!("Cannot modify '{setting}' setting in readonly mode");
        Self::new(164, "READONLY", StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// 452.
    pub fn constraint(text: impl Into<String>) -> Self {
        Self::new(
            452,
            "SETTING_CONSTRAINT_VIOLATION",
            StatusCode::INTERNAL_SERVER_ERROR,
            text,
        )
    }

    /// 48: a server can, this front cannot.
    pub fn not_implemented(text: impl Into<String>) -> Self {
        Self::new(48, "NOT_IMPLEMENTED", StatusCode::NOT_IMPLEMENTED, text)
    }

    /// 1002: the engine does not answer, or the front's own file cannot be written.
    pub fn broken(text: impl Into<String>) -> Self {
        Self::new(
            1002,
            "UNKNOWN_EXCEPTION",
            StatusCode::INTERNAL_SERVER_ERROR,
            text,
        )
    }

    /// 307: more than the front keeps in memory.
    pub fn too_long(bytes_max: usize) -> Self {
        let text = format!("The statement is longer than {bytes_max} bytes");
        Self::new(
            307,
            "TOO_MANY_BYTES",
            StatusCode::INTERNAL_SERVER_ERROR,
            text,
        )
    }

    /// An entity that does not exist; the code depends on its kind.
    pub fn unknown(kind: super::ddl::Entity, name: &str) -> Self {
        use super::ddl::Entity;
        let text = format!("There is no {} `{name}` in `user directories`", kind.word());
        match kind {
            Entity::Role => Self::new(511, "UNKNOWN_ROLE", StatusCode::NOT_FOUND, text),
            Entity::User => Self::new(192, "UNKNOWN_USER", StatusCode::FORBIDDEN, text),
            Entity::Profile => Self::new(
                180,
                "THERE_IS_NO_PROFILE",
                StatusCode::INTERNAL_SERVER_ERROR,
                text,
            ),
            Entity::Policy => Self::new(
                523,
                "UNKNOWN_ROW_POLICY",
                StatusCode::INTERNAL_SERVER_ERROR,
                text,
            ),
            Entity::Quota => Self::new(
                199,
                "UNKNOWN_QUOTA",
                StatusCode::INTERNAL_SERVER_ERROR,
                text,
            ),
        }
    }

    /// 493.
    pub fn exists(kind: super::ddl::Entity, name: &str) -> Self {
        let word = kind.word();
        let text = format!(
            "{word} `{name}`: cannot insert because {word} `{name}` already exists in `local_directory`"
        );
        Self::new(
            493,
            "ACCESS_ENTITY_ALREADY_EXISTS",
            StatusCode::INTERNAL_SERVER_ERROR,
            text,
        )
    }
}
