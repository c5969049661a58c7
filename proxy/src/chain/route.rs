//! Which part answers a path.

use std::time::Duration;

use http::Method;

use crate::{
    data::{OF_ALL, OF_ONE},
    exchange::METHODS,
};

/// What a path leads to. Names are as they were asked: whether they exist is found out later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `data/{module}/{model}` and `data/{module}/{model}/{id}`.
    Data {
        /// As asked.
        module: String,
        /// As asked.
        model: String,
        /// As asked.
        id: Option<String>,
    },
    /// `data/{module}/{model}/{id}/restore`.
    Restore {
        /// As asked.
        module: String,
        /// As asked.
        model: String,
        /// As asked.
        id: String,
    },
    /// `data/{module}/batch`.
    Batch {
        /// As asked.
        module: String,
    },
    /// `data/{module}/analytics`.
    Analytics {
        /// As asked.
        module: String,
    },
    /// `schema`, `schema/{module}`, `schema/{module}/{model}`.
    Schema {
        /// As asked.
        module: Option<String>,
        /// As asked.
        model: Option<String>,
    },
    /// `cache/{key}`.
    Cache {
        /// The key, decoded.
        key: String,
    },
    /// `POST cache/invalidate`. With another method that path is the key `invalidate`.
    Invalidate,
    /// `openapi.json`.
    OpenApi,
    /// `docs` and `docs/{asset}`: the one route that needs no token.
    Docs {
        /// As asked.
        asset: Option<String>,
    },
    /// Nothing of ours.
    Unknown,
}

/// The label of metrics and of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteClass {
    /// CRUD.
    Data,
    /// Analytics.
    Analytics,
    /// Schema, the OpenAPI document and the page that shows it.
    Schema,
    /// Cache.
    Cache,
    /// Anything else.
    Other,
}

impl RouteClass {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Analytics => "analytics",
            Self::Schema => "schema",
            Self::Cache => "cache",
            Self::Other => "other",
        }
    }
}

/// A body of 1 MiB (API.md, "Defaults and ceilings").
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// What a cache value of 1 MiB is wrapped in.
const CACHE_ENVELOPE_BYTES: usize = 4096;

impl Route {
    /// The route of a decoded path.
    pub fn parse(method: &Method, path: &[String]) -> Self {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        if path.contains(&"") {
            return Self::Unknown;
        }
        let own = |text: &&str| (*text).to_owned();
        match path.as_slice() {
            ["data", module, "analytics"] => Self::Analytics {
                module: own(module),
            },
            ["data", module, "batch"] => Self::Batch {
                module: own(module),
            },
            ["data", module, model] => Self::Data {
                module: own(module),
                model: own(model),
                id: None,
            },
            ["data", module, model, id] => Self::Data {
                module: own(module),
                model: own(model),
                id: Some(own(id)),
            },
            ["data", module, model, id, "restore"] => Self::Restore {
                module: own(module),
                model: own(model),
                id: own(id),
            },
            ["schema"] => Self::Schema {
                module: None,
                model: None,
            },
            ["schema", module] => Self::Schema {
                module: Some(own(module)),
                model: None,
            },
            ["schema", module, model] => Self::Schema {
                module: Some(own(module)),
                model: Some(own(model)),
            },
            ["cache", "invalidate"] if method == Method::POST => Self::Invalidate,
            ["cache", key] => Self::Cache { key: own(key) },
            ["openapi.json"] => Self::OpenApi,
            ["docs"] => Self::Docs { asset: None },
            ["docs", asset] => Self::Docs {
                asset: Some(own(asset)),
            },
            _ => Self::Unknown,
        }
    }

    /// Its label.
    pub fn class(&self) -> RouteClass {
        match self {
            Self::Data { .. } | Self::Restore { .. } | Self::Batch { .. } => RouteClass::Data,
            Self::Analytics { .. } => RouteClass::Analytics,
            Self::Schema { .. } | Self::OpenApi | Self::Docs { .. } => RouteClass::Schema,
            Self::Cache { .. } | Self::Invalidate => RouteClass::Cache,
            Self::Unknown => RouteClass::Other,
        }
    }

    /// Whether a read-only tenant is refused. An analytics query is a read, though it is a POST.
    pub fn writes(&self, method: &Method) -> bool {
        !matches!(self, Self::Analytics { .. }) && !matches!(*method, Method::GET | Method::HEAD)
    }

    /// Longest time from head to reply. Analytics has 30 s in ClickHouse and some to spare.
    pub fn deadline(&self) -> Duration {
        match self {
            Self::Analytics { .. } => Duration::from_secs(35),
            _ => Duration::from_secs(30),
        }
    }

    /// The methods that the path takes, as `Allow` names them. What a path has depends on its form alone, so this tells
    /// nothing to who has not been asked for a token yet.
    pub fn allow(&self) -> &'static str {
        match self {
            Self::Data { id: None, .. } => OF_ALL,
            Self::Data { id: Some(_), .. } => OF_ONE,
            Self::Restore { .. } | Self::Batch { .. } | Self::Analytics { .. } => "POST",
            // A key as any other, and a path of its own.
            Self::Cache { key } if key == "invalidate" => "GET, HEAD, POST, PUT, DELETE",
            Self::Invalidate => "GET, HEAD, POST, PUT, DELETE",
            Self::Cache { .. } => "GET, HEAD, PUT, DELETE",
            Self::Schema { .. } | Self::OpenApi | Self::Docs { .. } => "GET, HEAD",
            Self::Unknown => METHODS,
        }
    }

    /// Most bytes of the body.
    pub fn body_bytes_max(&self) -> usize {
        match self {
            Self::Cache { .. } => BODY_BYTES_MAX + CACHE_ENVELOPE_BYTES,
            _ => BODY_BYTES_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_which_methods_it_takes() {
        let check = |path: &str, allow: &str| {
            let path: Vec<String> = path.split('/').map(str::to_owned).collect();
            let route = Route::parse(&Method::OPTIONS, &path);
            assert_eq!(route.allow(), allow, "{path:?}");
        };
        check("data/crm/deals", "GET, HEAD, POST, PATCH, DELETE");
        check("data/crm/deals/1", "GET, HEAD, PATCH, DELETE");
        check("data/crm/deals/1/restore", "POST");
        check("data/crm/batch", "POST");
        check("data/crm/analytics", "POST");
        check("cache/x", "GET, HEAD, PUT, DELETE");
        check("cache/invalidate", "GET, HEAD, POST, PUT, DELETE");
        check("schema/crm", "GET, HEAD");
        check("openapi.json", "GET, HEAD");
        check("data", METHODS);
    }

    #[test]
    fn a_path_leads_to_one_part() {
        let check = |method: Method, path: &str, class: RouteClass| {
            let path: Vec<String> = path.split('/').map(str::to_owned).collect();
            assert_eq!(
                Route::parse(&method, &path).class(),
                class,
                "{method} {path:?}"
            );
        };
        check(Method::GET, "data/crm/deals", RouteClass::Data);
        check(Method::GET, "data/crm/deals/1", RouteClass::Data);
        check(Method::POST, "data/crm/batch", RouteClass::Data);
        check(Method::POST, "data/crm/deals/1/restore", RouteClass::Data);
        check(Method::POST, "data/crm/analytics", RouteClass::Analytics);
        check(Method::GET, "schema", RouteClass::Schema);
        check(Method::GET, "schema/crm/deals", RouteClass::Schema);
        check(Method::PUT, "cache/a", RouteClass::Cache);
        check(Method::GET, "openapi.json", RouteClass::Schema);
        check(Method::GET, "docs", RouteClass::Schema);
        check(Method::GET, "docs/page.js", RouteClass::Schema);
        for other in [
            "",
            "data",
            "data/crm",
            "data/crm/",
            "data//deals",
            "data/crm/deals/1/revive",
            "data/crm/deals/1/restore/1",
            "schema/a/b/c",
            "cache",
            "cache/",
            "cache/a/b",
            "openapi.json/x",
            "docs/a/b",
            "x",
        ] {
            check(Method::GET, other, RouteClass::Other);
        }
    }

    #[test]
    fn a_batch_is_a_write() {
        let path = ["data", "crm", "batch"].map(str::to_owned);
        let route = Route::parse(&Method::POST, &path);
        assert_eq!(
            route,
            Route::Batch {
                module: "crm".into()
            }
        );
        assert!(route.writes(&Method::POST) && !route.writes(&Method::GET));
    }

    #[test]
    fn an_analytics_query_is_a_read_and_a_key_may_be_called_invalidate() {
        let path = ["data", "crm", "analytics"].map(str::to_owned);
        assert!(!Route::parse(&Method::POST, &path).writes(&Method::POST));
        let path = ["cache", "invalidate"].map(str::to_owned);
        assert_eq!(Route::parse(&Method::POST, &path), Route::Invalidate);
        assert_eq!(
            Route::parse(&Method::GET, &path),
            Route::Cache {
                key: "invalidate".into()
            }
        );
        assert!(Route::Invalidate.writes(&Method::POST));
    }
}
