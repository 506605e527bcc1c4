//! Media types, as far as it matters here.

/// Whether it is JSON, by RFC 6839.
pub(crate) fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn json_is_known() {
        for json in
            ["application/json", "Application/JSON; charset=utf-8", "text/json", "application/geo+json"]
        {
            assert!(is_json(json), "{json}");
        }
        for other in ["", "application/jsonl", "text/plain", "application/json+xml"] {
            assert!(!is_json(other), "{other}");
        }
    }
}
