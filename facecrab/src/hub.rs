//! What the hub says about repositories and files.

mod reply;

use crate::Settings;
use crate::download::retry::{Backoff, is_busy, retry_after};
use crate::transport::{Get, Permanent, Response, Transport, is_transient, network};
use async_io::Timer;
use rusty_genius_core::AssetError;

/// Longest answer about a repository, bytes.
const REPLY_BYTES: usize = 16 << 20;

/// The hub, as this user sees it.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    transport: Transport,
    settings: Settings,
}

/// A repository at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepoInfo {
    /// `org/repo`.
    pub(crate) repo: String,
    /// 40 hexadecimal digits, lower case.
    pub(crate) commit: String,
    pub(crate) files: Vec<RepoFile>,
    /// Whether its files need the user's consent to terms.
    pub(crate) gated: bool,
}

/// A file of a repository, as the hub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepoFile {
    /// A relative path of plain parts, joined by `/`.
    pub(crate) name: String,
    pub(crate) size: Option<u64>,
    /// 64 hexadecimal digits, lower case, where the hub knows it.
    pub(crate) sha256: Option<String>,
}

/// A file that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The hub's URL of the file, not the signed one it redirects to: those expire.
    pub(crate) url: String,
    /// What messages call it.
    pub(crate) name: String,
    pub(crate) size: Option<u64>,
    /// Without quotes and `W/`.
    pub(crate) etag: Option<String>,
    /// 64 hexadecimal digits, lower case.
    pub(crate) sha256: Option<String>,
    /// `org/repo`, for a file of the hub: the token may be sent.
    pub(crate) repo: Option<String>,
}

impl Remote {
    /// A file on the web, known by its digest.
    pub(crate) fn url(url: &str, sha256: &str) -> Self {
        Self {
            url: url.to_owned(),
            name: crate::transport::shown(url),
            size: None,
            etag: None,
            sha256: Some(sha256.to_ascii_lowercase()),
            repo: None,
        }
    }
}

impl Hub {
    pub(crate) fn new(transport: Transport, settings: Settings) -> Self {
        Self {
            transport,
            settings,
        }
    }

    /// The repository at a revision (the default branch if `None`); `None` where the
    /// hub knows no such repository or revision, or hides it from this user.
    ///
    /// Errors: [`AssetError::Offline`], [`AssetError::Gated`], [`AssetError::Network`],
    /// [`AssetError::Corrupt`] for an answer that makes no sense.
    pub(crate) async fn repo(
        &self,
        repo: &str,
        revision: Option<&str>,
    ) -> anyhow::Result<Option<RepoInfo>> {
        let mut url = format!("{}/api/models/{}", self.settings.endpoint, path(repo));
        if let Some(revision) = revision {
            url += "/revision/";
            url += &escape(revision);
        }
        url += "?blobs=true";
        let get = Get {
            auth: true,
            ..Get::new(url)
        };
        let Some((_, body)) = self.ask(get, repo, true).await? else {
            return Ok(None);
        };
        reply::parse(repo, &body).map(Some)
    }

    /// Where a file is, and what its whole content is known by. The file need not be in
    /// the repository's list: fetching it tells.
    ///
    /// Errors: as [`Hub::repo`], and [`AssetError::NotFound`].
    pub(crate) async fn locate(
        &self,
        repo: &str,
        commit: &str,
        file: &str,
    ) -> anyhow::Result<Remote> {
        if !reply::is_plain(file) {
            return Err(reply::corrupt(
                repo,
                format_args!("{file:?} is no file name"),
            ));
        }
        let url = format!(
            "{}/{}/resolve/{}/{}",
            self.settings.endpoint,
            path(repo),
            escape(commit),
            path(file)
        );
        // The hub's own answer has all there is to know. The storage it redirects to may
        // refuse a HEAD: its URLs are signed for GET.
        let get = Get {
            auth: true,
            head: true,
            leave_origin: false,
            ..Get::new(&*url)
        };
        let Some((head, _)) = self.ask(get, repo, false).await? else {
            return Err(AssetError::NotFound {
                spec: format!("{repo}/{file}"),
                searched: vec![url],
            }
            .into());
        };
        // A file that is not in large-file storage comes from the hub itself.
        let own = head.status == 200;
        let etag = (head
            .first
            .get("x-linked-etag")
            .or(head.headers.get("x-linked-etag")))
        .or_else(|| head.headers.get("etag").filter(|_| own))
        .map(etag);
        let size = (head
            .first
            .get("x-linked-size")
            .or(head.headers.get("x-linked-size")))
        .or_else(|| head.headers.get("content-length").filter(|_| own))
        .and_then(|size| size.parse().ok());
        if let Some(named) = head.first.get("x-repo-commit")
            && reply::is_commit(commit)
            && !named.eq_ignore_ascii_case(commit)
        {
            return Err(reply::corrupt(
                repo,
                format_args!("{file} is of another commit"),
            ));
        }
        Ok(Remote {
            url,
            name: file.to_owned(),
            size,
            sha256: etag.as_deref().and_then(reply::sha256),
            etag,
            repo: Some(repo.to_owned()),
        })
    }

    /// One answer of the hub, with its body if wanted; `None` if there is no such thing.
    async fn ask(
        &self,
        get: Get,
        repo: &str,
        body: bool,
    ) -> anyhow::Result<Option<(Response, Vec<u8>)>> {
        if self.settings.offline {
            return Err(AssetError::Offline {
                what: repo.to_owned(),
            }
            .into());
        }
        let mut backoff = Backoff::new(&self.settings);
        loop {
            let (error, asked) = match self.ask_once(&get, body).await {
                Ok((response, _)) if is_busy(response.status) => (
                    network(
                        &get.url,
                        format_args!("the hub answered {}", response.status),
                    ),
                    retry_after(response.headers.get("retry-after")),
                ),
                Ok(answer) => return self.judge(get, repo, answer),
                Err(error) if is_transient(&error) => (error, None),
                Err(error) => return Err(error),
            };
            match backoff.failed(asked) {
                Some(pause) => Timer::after(pause).await,
                None => return Err(error),
            };
        }
    }

    async fn ask_once(&self, get: &Get, body: bool) -> anyhow::Result<(Response, Vec<u8>)> {
        let mut response = self.transport.get(get.clone()).await?;
        let body = if body && response.status == 200 {
            response.read(REPLY_BYTES, self.settings.stall * 4).await?
        } else {
            Vec::new()
        };
        Ok((response, body))
    }

    fn judge(
        &self,
        get: Get,
        repo: &str,
        answer: (Response, Vec<u8>),
    ) -> anyhow::Result<Option<(Response, Vec<u8>)>> {
        let response = &answer.0;
        match response.status {
            200 => Ok(Some(answer)),
            // Only where redirects that leave the hub are not followed.
            301..=308 if !get.leave_origin => Ok(Some(answer)),
            401 | 403 => {
                // The hub does not tell strangers what exists: what is not there and
                // what is private both look like this.
                let code = response.headers.get("x-error-code");
                if matches!(
                    code,
                    Some("RepoNotFound" | "RevisionNotFound" | "EntryNotFound")
                ) {
                    return Ok(None);
                }
                Err(gated(
                    &self.transport,
                    &self.settings,
                    repo,
                    response.status,
                ))
            }
            404 => Ok(None),
            status => {
                Err(network(&get.url, format_args!("the hub answered {status}")).context(Permanent))
            }
        }
    }
}

/// [`AssetError::Gated`] about a repository of the endpoint.
pub(crate) fn gated(
    transport: &Transport,
    settings: &Settings,
    repo: &str,
    status: u16,
) -> anyhow::Error {
    AssetError::Gated {
        repo: repo.to_owned(),
        page: format!("{}/{}", settings.endpoint, repo),
        status,
        token: transport.has_token_for(&settings.endpoint),
    }
    .into()
}

/// An entity tag without `W/` and quotes.
pub(crate) fn etag(header: &str) -> String {
    let strong = header.trim().trim_start_matches("W/");
    strong.trim_matches('"').to_owned()
}

/// A `/`-joined path as it stands in a URL.
fn path(path: &str) -> String {
    path.split('/').map(escape).collect::<Vec<_>>().join("/")
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn escape(text: &str) -> String {
    use std::fmt::Write;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(byte.into());
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_urls() {
        assert_eq!(path("org/re po#1"), "org/re%20po%231");
        assert_eq!(escape("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(escape("?ü"), "%3F%C3%BC");
    }

    #[test]
    fn an_etag_is_what_is_between_the_quotes() {
        assert_eq!(etag("\"abc\""), "abc");
        assert_eq!(etag("W/\"abc\""), "abc");
        assert_eq!(etag("abc"), "abc");
    }

    #[test]
    fn offline_nothing_is_asked() {
        let settings = Settings {
            // Nobody listens there: an attempt would be another error.
            endpoint: "http://127.0.0.1:9".to_owned(),
            offline: true,
            ..Settings::new("c", "d")
        };
        let hub = Hub::new(Transport::new(&settings).unwrap(), settings);
        let error = async_io::block_on(hub.repo("o/r", None)).unwrap_err();
        assert!(matches!(
            error.downcast_ref(),
            Some(AssetError::Offline { .. })
        ));
        let error = async_io::block_on(hub.locate("o/r", "c", "f")).unwrap_err();
        assert!(matches!(
            error.downcast_ref(),
            Some(AssetError::Offline { .. })
        ));
    }
}
