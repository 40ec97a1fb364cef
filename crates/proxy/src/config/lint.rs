//! What can be loaded but is surely not meant: rules that lead nowhere, never speak or go round in circles, policies
//! that nothing can match, names that are misspelt. Each lint has a section in docs/lints.md.
//!
//! In doubt nothing is said. What requests may be called and where rules may lead is followed as sets of paths
//! (`shape`, `reach`), taken too wide rather than too narrow, with bounds on the work (`table`): a file of ten thousand
//! rules is looked through in the time that it takes to read it.

mod allow;
mod captures;
mod certificates;
mod destinations;
mod loops;
mod order;
mod pattern;
mod policies;
#[cfg(test)]
mod properties;
mod reach;
mod rules;
mod served;
mod shape;
mod spelling;
mod table;
mod transformed;
mod verdict;

pub(super) use self::allow::{Allows, Unused, toml_comments};
pub(super) use self::captures::{Suspect, forgotten_braces, never_filled};
pub(super) use self::certificates::{Certificate, Listener, wrong_certificates};
pub(super) use self::policies::{Bounds, Overridden, covered_names, logical_pattern};
pub(super) use self::rules::{Known, Open, Requests, rules};
pub(super) use self::served::Served;
pub(super) use self::shape::Shape;
pub(super) use self::spelling::{endpoints_of_no_weight, services_that_differ_by_case};
pub(super) use self::transformed::Lead;

/// Defines the lints with their names, once.
macro_rules! lints {
    ($($(#[$doc:meta])* $lint:ident = $name:literal,)*) => {
        /// Something that is surely not meant; a warning.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Lint {
            $($(#[$doc])* $lint,)*
        }

        impl Lint {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$lint,)*];

            /// As it is shown, allowed and documented.
            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$lint => $name,)*
                }
            }
        }
    };
}

lints! {
    /// A destination under `/#` or `/$` that no namer serves.
    UnknownNamer = "unknown-namer",
    /// A destination below a static namer that has no such service.
    UnknownService = "unknown-service",
    /// A destination that no rule and no namer has an answer for.
    LeadsNowhere = "leads-nowhere",
    /// Rules that lead back to themselves.
    Loop = "loop",
    /// A rule that is never tried.
    ShadowedRule = "shadowed-rule",
    /// An alternative that is never tried.
    UnusedAlternative = "unused-alternative",
    /// A general rule that is tried before special ones.
    GeneralBeforeSpecific = "general-before-specific",
    /// A rule that no path gets to.
    UnreachableRule = "unreachable-rule",
    /// A rule that is always negative.
    NegativeRule = "negative-rule",
    /// Rules within a comment that eats the `;` before them.
    SwallowedRule = "swallowed-rule",
    /// A `#` that is part of a path.
    GluedComment = "glued-comment",
    /// A weight of 0.
    ZeroWeight = "zero-weight",
    /// A weight of something that shares with nothing.
    LoneWeight = "lone-weight",
    /// Names that are the same but for upper and lower case.
    DifferByCase = "differ-by-case",
    /// A policy that no path can match.
    MatchesNothing = "matches-nothing",
    /// A key of a policy that a later entry always sets again.
    OverriddenPolicy = "overridden-policy",
    /// A TLS name whose paths an earlier one takes.
    CoveredName = "covered-name",
    /// A transformer of which nothing is left.
    UselessTransformer = "useless-transformer",
    /// A capture whose name stands without braces where it should be filled in.
    UnusedCapture = "unused-capture",
    /// A capture that is always empty, or overwritten.
    EmptyCapture = "empty-capture",
    /// A server's certificate without the name that callers in the same file ask for.
    WrongCertificate = "wrong-certificate",
    /// Clear text to a server of the same file that wants TLS, or the other way round.
    TlsMismatch = "tls-mismatch",
    /// TLS that verifies nobody.
    NoValidation = "no-validation",
    /// Clear text where no name is known.
    NotStrict = "not-strict",
    /// Overrides from anybody on an address that others reach.
    OpenOverrides = "open-overrides",
    /// An override allowed to a name that no caller can prove.
    UnverifiableName = "unverifiable-name",
    /// A private key that others can read.
    KeyReadableByOthers = "key-readable-by-others",
    /// A certificate for a name that no caller can ask for.
    CertificateNeverShown = "certificate-never-shown",
    /// A certificate that ended.
    CertificateEnded = "certificate-ended",
    /// A certificate that ends within days.
    CertificateEndsSoon = "certificate-ends-soon",
    /// A certificate whose time has not come.
    CertificateNotYetValid = "certificate-not-yet-valid",
    /// A revocation list whose next update is due.
    CrlOutOfDate = "crl-out-of-date",
    /// A directory of names that can't be read in full.
    FsDirectory = "fs-directory",
    /// A file of addresses that can't be used.
    FsFile = "fs-file",
    /// A host in a file of addresses that does not resolve.
    FsHost = "fs-host",
    /// An allow that says nothing, or nothing that can be allowed.
    MalformedAllow = "malformed-allow",
    /// An allow of what is not there.
    UnusedAllow = "unused-allow",
}

impl Lint {
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|lint| lint.name() == name)
    }

    /// Whether an allow can silence it.
    const fn can_be_allowed(self) -> bool {
        !matches!(self, Self::MalformedAllow | Self::UnusedAllow) && !self.is_of_files_of_addresses()
    }

    /// What `fs` namers find in their files, which are not the configuration's.
    const fn is_of_files_of_addresses(self) -> bool {
        matches!(self, Self::FsDirectory | Self::FsFile | Self::FsHost)
    }

    /// Whether it comes from the text alone. What depends on the date or on modes of files may be allowed before it is
    /// raised.
    const fn is_of_the_text(self) -> bool {
        !matches!(
            self,
            Self::KeyReadableByOthers
                | Self::CertificateEnded
                | Self::CertificateEndsSoon
                | Self::CertificateNotYetValid
                | Self::CrlOutOfDate
        )
    }
}

/// The names of all lints, for the test that compares them with docs/lints.md.
pub fn lints() -> impl Iterator<Item = &'static str> {
    Lint::ALL.iter().map(|lint| lint.name())
}
