//! Reads the directory and its files and publishes what is in them. Blocks; knows nothing of tasks and events.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use waypost_naming::{Finding, Source, Span};

use super::super::dns::Resolution;
use super::super::host::Host;
use super::super::stamp::Stamp;
use super::file::{self, Line};
use super::listing::{DEEPEST, Listing, MOST_FILES};
use super::{Directory, Shared, Tree};
use crate::address::{AddressSet, Addresses, Cause, Endpoint};
use crate::generation::Generation;

/// All that is known of the files below one root.
#[derive(Debug)]
pub(super) struct Reader {
    root: PathBuf,
    shared: Arc<Shared>,
    generation: Arc<Generation>,
    files: BTreeMap<PathBuf, File>,
    hosts: HashMap<Arc<str>, Resolution>,
    directories: BTreeSet<PathBuf>,
    /// What was logged about the root and its directories, so that it is logged once.
    complaint: Option<String>,
}

#[derive(Debug)]
struct File {
    stamp: Stamp,
    read_at: SystemTime,
    /// The last good content.
    content: Option<Arc<[Line]>>,
    /// What is wrong with the content now.
    problem: Option<Unusable>,
    set: Arc<AddressSet>,
}

impl Reader {
    pub(super) fn new(root: &Path, shared: Arc<Shared>, generation: Arc<Generation>) -> Self {
        Self {
            root: root.to_path_buf(),
            shared,
            generation,
            files: BTreeMap::new(),
            hosts: HashMap::new(),
            directories: BTreeSet::new(),
            complaint: None,
        }
    }

    /// Looks at everything again and publishes what is new.
    pub(super) fn scan(&mut self) {
        let listing = match Listing::read(&self.root) {
            Ok(listing) => listing,
            Err(error) => {
                self.complain(Some(error.to_string()));
                // What was known before still holds.
                if !matches!(**self.shared.tree.load(), Tree::Known(_)) {
                    let message = format!("the directory of names can't be read: {error}");
                    self.shared.publish(Tree::Unreadable(message), &self.generation);
                }
                return;
            }
        };
        self.complain(self.incomplete(&listing));
        let mut names_changed = !matches!(**self.shared.tree.load(), Tree::Known(_));
        names_changed |= self.forget(&listing);
        for (name, stamp) in &listing.files {
            names_changed |= self.read(name, *stamp);
        }
        self.directories = listing.directories;
        self.count_waiting();
        if names_changed {
            let mut top = Directory::default();
            for (name, file) in &self.files {
                top.insert(name, &file.set);
            }
            self.shared.publish(Tree::Known(top), &self.generation);
        }
    }

    /// Where the next change may come from.
    pub(super) const fn directories(&self) -> &BTreeSet<PathBuf> {
        &self.directories
    }

    /// The host names that the files have, up to a bound; what is beyond it counts as not resolved.
    pub(super) fn limit_hosts(&mut self) -> HashSet<Arc<str>> {
        let (mut hosts, mut beyond) = (HashSet::new(), HashSet::new());
        for host in self.files.values().flat_map(File::hosts) {
            let kept = if hosts.len() < MOST_HOSTS || hosts.contains(host) { &mut hosts } else { &mut beyond };
            kept.insert(Arc::clone(host));
        }
        self.hosts.retain(|host, _| hosts.contains(host) || beyond.contains(host));
        for host in beyond {
            let reason = format!("only {MOST_HOSTS} host names are resolved for one fs namer");
            self.resolve(&host, Resolution::Temporary(reason));
        }
        hosts
    }

    /// Takes in what DNS says of a name.
    pub(super) fn resolve(&mut self, host: &Arc<str>, resolution: Resolution) {
        if self.hosts.get(host) == Some(&resolution) {
            return;
        }
        match &resolution {
            Resolution::Known(_) => {}
            Resolution::Unknown => tracing::warn!(host = &**host, root_dir = %self.root.display(), "unknown host"),
            Resolution::Temporary(error) => {
                tracing::warn!(host = &**host, root_dir = %self.root.display(), error, "host not resolved");
            }
        }
        self.hosts.insert(Arc::clone(host), resolution);
        for file in self.files.values().filter(|file| file.hosts().any(|known| known == host)) {
            file.publish(&self.hosts, &self.generation);
        }
        self.count_waiting();
    }

    /// Everything that is wrong with the data.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let complaint = self
            .complaint
            .iter()
            .map(|complaint| Finding::warning("fs-directory", format!("{}: {complaint}", self.root.display())));
        let files = self.files.iter().flat_map(|(name, file)| {
            let unresolved = file.hosts().filter(|host| !matches!(self.hosts.get(*host), Some(Resolution::Known(_))));
            let path = self.root.join(name);
            let unresolved = unresolved
                .map(move |host| Finding::warning("fs-host", format!("{}: `{host}` does not resolve", path.display())));
            file.problem.iter().map(|problem| (*problem.finding).clone()).chain(unresolved)
        });
        complaint.chain(files).collect()
    }

    fn incomplete(&self, listing: &Listing) -> Option<String> {
        if let Some((directory, error)) = listing.unread.first() {
            return Some(format!("{} can't be read: {error}", self.root.join(directory).display()));
        }
        if listing.truncated {
            return Some(format!("files beyond {MOST_FILES}, or more than {DEEPEST} directories deep, are left out"));
        }
        (listing.files.is_empty() && !self.root.exists()).then(|| "there is no such directory".to_owned())
    }

    fn complain(&mut self, complaint: Option<String>) {
        if self.complaint != complaint {
            if let Some(reason) = &complaint {
                tracing::warn!(root_dir = %self.root.display(), reason, "fs namer sees less than there is");
            }
            self.complaint = complaint;
        }
    }

    /// Drops the files that are gone, and says whether there were any.
    fn forget(&mut self, listing: &Listing) -> bool {
        let before = self.files.len();
        self.files.retain(|name, file| {
            let unread = || listing.unread.iter().any(|(directory, _)| name.starts_with(directory));
            let keep = listing.files.contains_key(name) || unread();
            if !keep {
                file.end(&self.generation);
            }
            keep
        });
        self.files.len() != before
    }

    /// Reads a file unless its stamp vouches for what is known; says whether it is a new one.
    fn read(&mut self, name: &Path, stamp: Stamp) -> bool {
        if let Some(known) = self.files.get(name)
            && known.stamp == stamp
            && stamp.vouches_at(known.read_at)
        {
            return false;
        }
        let read_at = SystemTime::now();
        let path = self.root.join(name);
        let content = content(&path);
        if matches!(&content, Err(Unusable { gone: true, .. })) {
            return self.files.remove(name).inspect(|file| file.end(&self.generation)).is_some();
        }
        let is_new = !self.files.contains_key(name);
        let file = self.files.entry(name.to_path_buf()).or_insert_with(|| File {
            stamp,
            read_at,
            content: None,
            problem: None,
            set: Arc::new(AddressSet::new(Addresses::Pending)),
        });
        (file.stamp, file.read_at) = (stamp, read_at);
        match content {
            Ok(lines) => {
                if file.problem.take().is_some() {
                    tracing::info!(file = %path.display(), "file is well formed again");
                }
                file.content = Some(lines.into());
            }
            Err(problem) => {
                let finding = &problem.finding;
                if file.problem.as_ref().map(|known| &known.finding.message) != Some(&finding.message) {
                    let kept = if file.content.is_some() { "the last good content" } else { "nothing" };
                    let place = finding.place().map(|(_, line, col)| format!("{line}:{col}"));
                    tracing::warn!(file = %path.display(), place, reason = finding.message, kept, "file not usable");
                }
                file.problem = Some(problem);
            }
        }
        file.publish(&self.hosts, &self.generation);
        is_new
    }

    fn count_waiting(&self) {
        let with_hosts = self.files.values().filter(|file| file.hosts().next().is_some());
        let waiting = with_hosts.filter(|file| file.set.snapshot().is_pending()).count();
        self.shared.wait_for(waiting, &self.generation);
    }
}

impl File {
    fn hosts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.content.as_deref().unwrap_or_default().iter().filter_map(name_of)
    }

    /// The file is gone: who still holds its addresses sends nothing there any more.
    fn end(&self, generation: &Generation) {
        self.set.publish(Addresses::Neg, generation);
    }

    fn publish(&self, hosts: &HashMap<Arc<str>, Resolution>, generation: &Generation) {
        self.set.publish(self.addresses(hosts), generation);
    }

    fn addresses(&self, hosts: &HashMap<Arc<str>, Resolution>) -> Addresses {
        let Some(lines) = &self.content else {
            let cause = self.problem.as_ref().map(|problem| problem.cause.clone());
            return Addresses::Failed(cause.unwrap_or_else(|| "it was not read".into()));
        };
        // By address: the same one again changes its weight.
        let mut endpoints: Vec<Endpoint> = Vec::with_capacity(lines.len());
        let mut places = HashMap::with_capacity(lines.len());
        let mut unresolved = None;
        for line in lines.iter() {
            let ips = match &line.host {
                Host::Ip(ip) => std::slice::from_ref(ip),
                Host::Name(name) => match hosts.get(name) {
                    None => return Addresses::Pending,
                    Some(Resolution::Known(ips)) => ips.as_slice(),
                    Some(Resolution::Unknown) => {
                        unresolved.get_or_insert(Addresses::Neg);
                        &[]
                    }
                    Some(Resolution::Temporary(error)) => {
                        unresolved = Some(Addresses::Failed(format!("{name}: {error}").as_str().into()));
                        &[]
                    }
                },
            };
            for endpoint in ips.iter().map(|ip| line.at(*ip)) {
                let place = *places.entry(endpoint.addr).or_insert(endpoints.len());
                match endpoints.get_mut(place) {
                    Some(known) => known.weight = endpoint.weight,
                    None => endpoints.push(endpoint),
                }
            }
        }
        match unresolved {
            Some(unresolved) if endpoints.is_empty() => unresolved,
            Some(_) | None => Addresses::Bound(endpoints.into()),
        }
    }
}

fn name_of(line: &Line) -> Option<&Arc<str>> {
    match &line.host {
        Host::Ip(_) => None,
        Host::Name(name) => Some(name),
    }
}

/// A file without endpoints to use.
#[derive(Debug)]
struct Unusable {
    finding: Box<Finding>,
    cause: Cause,
    gone: bool,
}

impl Unusable {
    /// As a whole.
    fn whole(path: &Path, reason: &str) -> Self {
        let file = path.display().to_string();
        let finding = Finding::warning("fs-file", format!("{file} {reason}"));
        let cause = Cause { reason: format!("its file {reason}").into(), place: Some(file.into()) };
        Self { finding: Box::new(finding), cause, gone: false }
    }

    fn at(path: &Path, text: String, span: Span, message: &str) -> Self {
        let source = Source { name: path.display().to_string(), text };
        let finding = Finding::warning("fs-file", message).at(Arc::new(source), span);
        let place = finding.place().map(|(file, line, col)| format!("{file}:{line}:{col}").into());
        Self { cause: Cause { reason: message.into(), place }, finding: Box::new(finding), gone: false }
    }
}

fn content(path: &Path) -> Result<Vec<Line>, Unusable> {
    let bytes = read_bounded(path).map_err(|error| Unusable {
        gone: error.kind() == io::ErrorKind::NotFound,
        ..Unusable::whole(path, &format!("can't be read: {error}"))
    })?;
    if bytes.len() > MOST_BYTES {
        return Err(Unusable::whole(path, &format!("has more than {MOST_BYTES} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let start = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        Unusable::at(path, text, Span { start, end: start }, "this is not UTF-8")
    })?;
    file::parse(&text).map_err(|error| Unusable::at(path, text, error.span, &error.kind.to_string()))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// linkerd's limit.
const MOST_BYTES: usize = 500_000;
const MOST_HOSTS: usize = 2_000;
