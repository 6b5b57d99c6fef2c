//! Where a request may go.

use super::{Permanent, network};
use surf::http::Url;

/// Most redirects of one request.
const REDIRECTS: usize = 8;

/// The URL without what may be secret: query, fragment, user and password.
pub(crate) fn shown(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    match plain.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        None => plain.to_owned(),
    }
}

/// A URL that a request may go to.
///
/// Errors: a permanent [`AssetError::Network`](rusty_genius_core::AssetError::Network).
pub(super) fn parse(url: &str) -> anyhow::Result<Url> {
    let refuse = |reason: &str| network(url, reason).context(Permanent);
    let parsed = Url::parse(url).map_err(|_| refuse("is not a URL"))?;
    match check(&parsed) {
        Ok(()) => Ok(parsed),
        Err(reason) => Err(refuse(reason)),
    }
}

fn check(url: &Url) -> Result<(), &'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither http nor https");
    }
    if url.host().is_none() {
        return Err("has no host");
    }
    // The client would send them as credentials of its own.
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password");
    }
    Ok(())
}

/// The URLs of one request, the current one last; never empty.
#[derive(Debug)]
pub(super) struct Route(Url, Vec<Url>);

impl Route {
    pub(super) fn new(start: Url) -> Self {
        Self(start, Vec::new())
    }

    pub(super) fn here(&self) -> &Url {
        &self.0
    }

    /// Where a `Location` header points, if a request may go there.
    pub(super) fn target(&self, location: &str) -> anyhow::Result<Url> {
        let refuse = |reason: String| network(self.0.as_str(), reason).context(Permanent);
        let target = self
            .0
            .join(location)
            .map_err(|_| refuse("redirects to what is not a URL".to_owned()))?;
        check(&target).map_err(|e| refuse(format!("redirects to a URL that {e}")))?;
        if self.0.scheme() == "https" && target.scheme() != "https" {
            return Err(refuse("redirects from https to http".to_owned()));
        }
        Ok(target)
    }

    pub(super) fn follow(&mut self, target: Url) -> anyhow::Result<()> {
        let refuse = |reason: &str| Err(network(self.0.as_str(), reason).context(Permanent));
        if self.0 == target || self.1.contains(&target) {
            return refuse("redirects in a circle");
        }
        if self.1.len() == REDIRECTS {
            return refuse("redirects too often");
        }
        self.1.push(std::mem::replace(&mut self.0, target));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(url: &str) -> Route {
        Route::new(parse(url).unwrap())
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(
            shown("https://u:p@cdn.example/a/b?Signature=secret#x"),
            "https://cdn.example/a/b"
        );
        assert_eq!(shown("https://cdn.example?x@y/z"), "https://cdn.example");
        assert_eq!(shown("nonsense?x"), "nonsense");
    }

    #[test]
    fn only_http_urls_without_credentials_are_asked() {
        for (url, why) in [
            ("file:///etc/passwd", "neither http"),
            ("ftp://example.org/", "neither http"),
            ("https://u:p@example.org/", "user name"),
            ("/relative", "not a URL"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(format!("{error:#}").contains(why), "{url}: {error:#}");
            assert!(!crate::transport::is_transient(&error));
        }
    }

    #[test]
    fn a_redirect_may_be_relative_or_go_elsewhere() {
        let route = route("http://hub.example/a/b?c");
        let target = |l| route.target(l).unwrap().to_string();
        assert_eq!(target("/d"), "http://hub.example/d");
        assert_eq!(target("d"), "http://hub.example/a/d");
        assert_eq!(target("https://cdn.example/d"), "https://cdn.example/d");
    }

    #[test]
    fn a_redirect_to_less_is_refused() {
        for (location, why) in [
            ("http://hub.example/", "from https to http"),
            ("file:///etc/passwd", "neither http"),
            ("https://u@cdn.example/", "user name"),
            ("https://", "not a URL"),
        ] {
            let error = route("https://hub.example/").target(location).unwrap_err();
            assert!(format!("{error:#}").contains(why), "{location}: {error:#}");
        }
    }

    #[test]
    fn circles_and_long_ways_end() {
        let mut circle = route("http://h/0");
        let url = |n: usize| Url::parse(&format!("http://h/{n}")).unwrap();
        circle.follow(url(1)).unwrap();
        let error = circle.follow(url(0)).unwrap_err();
        assert!(format!("{error:#}").contains("circle"), "{error:#}");
        let mut long = route("http://h/0");
        for n in 1..=8 {
            long.follow(url(n)).unwrap();
        }
        assert!(long.follow(url(9)).is_err());
    }
}
