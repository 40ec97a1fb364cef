//! From an [`Item`] to a value with a unit and bounds; what does not fit is a finding.

use std::fmt::Display;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::defaults::{Bounded, Bounds, Bytes};
use super::raw::{Item, Reader, Section};
use super::units::{UnitError, parse_duration, parse_size, show_bound, show_duration, show_size};

/// The word that switches a limit or a time out off.
pub(super) const OFF: &str = "none";

/// What can be bounded, as people write it.
pub(super) trait Quantity: Copy + PartialOrd {
    /// As it is written in the file.
    fn show(&self) -> String;

    /// The same as a bound.
    fn show_bound(&self) -> String {
        self.show()
    }
}

impl Quantity for Duration {
    fn show(&self) -> String {
        format!("\"{}\"", show_duration(*self))
    }

    fn show_bound(&self) -> String {
        format!("\"{}\"", show_bound(*self))
    }
}

impl Quantity for Bytes {
    fn show(&self) -> String {
        format!("\"{}\"", show_size(self.0))
    }
}

impl Quantity for u32 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Quantity for NonZeroU32 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Quantity for f64 {
    fn show(&self) -> String {
        self.to_string()
    }
}

/// Reports a backoff whose shortest wait is longer than its longest.
pub(super) fn check_order(backoff: &Item<'_>, min: Duration, max: Duration, reader: &mut Reader<'_>) {
    if min > max {
        let (min, max) = (show_duration(min), show_duration(max));
        let message = format!("the least of `{}` is {min}, the greatest {max}", backoff.name);
        reader.error_hint("out-of-bounds", backoff.value, message, "`min` must not be greater than `max`");
    }
}

impl Section<'_> {
    /// The duration at `key`, or its default.
    pub(super) fn duration(&mut self, key: &'static str, of: Bounded<Duration>, reader: &mut Reader<'_>) -> Duration {
        self.take(key).and_then(|item| item.duration(of.bounds, reader)).unwrap_or(of.default)
    }

    /// The duration at `key`, `None` for `"none"`, or its default.
    pub(super) fn time_out(
        &mut self,
        key: &'static str,
        of: Bounded<Duration>,
        reader: &mut Reader<'_>,
    ) -> Option<Duration> {
        self.take(key).and_then(|item| item.time_out(of.bounds, reader)).unwrap_or(Some(of.default))
    }

    /// The size at `key`, or its default; the bounds have to fit.
    pub(super) fn size(&mut self, key: &'static str, of: Bounded<Bytes>, reader: &mut Reader<'_>) -> u32 {
        let size = self.take(key).and_then(|item| item.size(of.bounds, reader)).unwrap_or(of.default.0);
        u32::try_from(size).unwrap_or(u32::MAX)
    }

    /// The number at `key`, or its default.
    pub(super) fn integer(&mut self, key: &'static str, of: Bounded<u32>, reader: &mut Reader<'_>) -> u32 {
        self.take(key).and_then(|item| item.bounded_integer(of.bounds, reader)).unwrap_or(of.default)
    }

    /// The number at `key`, or its default.
    pub(super) fn count(&mut self, key: &'static str, of: Bounded<NonZeroU32>, reader: &mut Reader<'_>) -> NonZeroU32 {
        self.take(key).and_then(|item| item.count(of.bounds, reader)).unwrap_or(of.default)
    }

    /// The number at `key`, or its default.
    pub(super) fn fraction(&mut self, key: &'static str, of: Bounded<f64>, reader: &mut Reader<'_>) -> f64 {
        self.take(key).and_then(|item| item.fraction(of.bounds, reader)).unwrap_or(of.default)
    }

    /// The flag at `key`, or `default`.
    pub(super) fn flag(&mut self, key: &'static str, default: bool, reader: &mut Reader<'_>) -> bool {
        self.take(key).and_then(|item| item.boolean(reader)).unwrap_or(default)
    }

    /// The address at `key`, or `default`.
    pub(super) fn ip(&mut self, key: &'static str, default: IpAddr, reader: &mut Reader<'_>) -> IpAddr {
        self.take(key).and_then(|item| item.ip(reader)).unwrap_or(default)
    }
}

impl Item<'_> {
    /// Whether the value is `"none"`.
    pub(super) fn is_off(&self) -> bool {
        self.as_text() == Some(OFF)
    }

    /// A duration within bounds.
    pub(super) fn duration(&self, bounds: Bounds<Duration>, reader: &mut Reader<'_>) -> Option<Duration> {
        self.unit("a duration such as \"10s\"", "s", reader, parse_duration)
            .and_then(|duration| self.within(duration, bounds, reader))
    }

    /// A duration within bounds, or `"none"`.
    pub(super) fn time_out(&self, bounds: Bounds<Duration>, reader: &mut Reader<'_>) -> Option<Option<Duration>> {
        if self.is_off() { Some(None) } else { self.duration(bounds, reader).map(Some) }
    }

    /// A size within bounds.
    pub(super) fn size(&self, bounds: Bounds<Bytes>, reader: &mut Reader<'_>) -> Option<u64> {
        self.unit("a size such as \"64KiB\"", "B", reader, |text| parse_size(text).map(Bytes))
            .and_then(|size| self.within(size, bounds, reader))
            .map(|size| size.0)
    }

    /// An integer within bounds.
    pub(super) fn bounded_integer(&self, bounds: Bounds<u32>, reader: &mut Reader<'_>) -> Option<u32> {
        let value = self.integer(reader)?;
        let small = u32::try_from(value).ok().filter(|value| (bounds.least..=bounds.greatest).contains(value));
        if small.is_none() {
            self.out_of_bounds(value, &bounds, reader);
        }
        small
    }

    /// An integer within bounds, at least one.
    pub(super) fn count(&self, bounds: Bounds<NonZeroU32>, reader: &mut Reader<'_>) -> Option<NonZeroU32> {
        let (least, greatest) = (bounds.least.get(), bounds.greatest.get());
        self.bounded_integer(Bounds { least, greatest }, reader).and_then(NonZeroU32::new)
    }

    /// An integer within bounds, or `"none"`.
    pub(super) fn limit(&self, bounds: Bounds<NonZeroU32>, reader: &mut Reader<'_>) -> Option<Option<NonZeroU32>> {
        if self.is_off() { Some(None) } else { self.count(bounds, reader).map(Some) }
    }

    /// A number within bounds.
    pub(super) fn fraction(&self, bounds: Bounds<f64>, reader: &mut Reader<'_>) -> Option<f64> {
        self.number(reader).and_then(|number| self.within(number, bounds, reader))
    }

    /// An IP address.
    pub(super) fn ip(&self, reader: &mut Reader<'_>) -> Option<IpAddr> {
        let text = self.text(reader)?;
        let parsed = text.parse();
        if parsed.is_err() {
            let hint = match text {
                "localhost" => "write \"127.0.0.1\"",
                "*" => "write \"0.0.0.0\", or \"::\" for both families",
                _ => "an address such as \"127.0.0.1\" or \"::\"; names are not looked up",
            };
            reader.error_hint("bad-ip", self.value, format!("`{text}` is no IP address"), hint);
        }
        parsed.ok()
    }

    /// A port; 0 lets the system choose.
    pub(super) fn port(&self, reader: &mut Reader<'_>) -> Option<u16> {
        let value = self.integer(reader)?;
        let port = u16::try_from(value).ok();
        if port.is_none() {
            reader.error("bad-port", self.value, format!("`{}` must be from 0 to 65535, not {value}", self.name));
        }
        port
    }

    /// The path of a file.
    pub(super) fn path(&self, reader: &mut Reader<'_>) -> Option<PathBuf> {
        let text = self.text(reader)?;
        if text.is_empty() || text.contains('\0') {
            reader.error("bad-path", self.value, format!("`{}` is no path of a file", self.name));
            return None;
        }
        Some(reader.resolve(text))
    }

    /// One path or a list of them, each with its item.
    pub(super) fn paths(&self, reader: &mut Reader<'_>) -> Vec<(Self, PathBuf)> {
        let items = if self.is_list() { self.list(reader).unwrap_or_default() } else { vec![self.clone()] };
        items.into_iter().filter_map(|item| item.path(reader).map(|path| (item, path))).collect()
    }

    fn unit<T>(
        &self,
        wanted: &str,
        plain_unit: &str,
        reader: &mut Reader<'_>,
        parse: impl FnOnce(&str) -> Result<T, UnitError>,
    ) -> Option<T> {
        let Some(text) = self.as_text() else {
            match self.as_integer_text() {
                Some(number) => self.wrong_type_hint(wanted, format!("write \"{number}{plain_unit}\""), reader),
                None => self.wrong_type(wanted, reader),
            }
            return None;
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                let units = if plain_unit == "s" { "ms, s, m, h" } else { "B, KiB, MiB, GiB, TiB" };
                let hint = match error {
                    UnitError::NoUnit => format!("write \"{text}{plain_unit}\"; units are {units}"),
                    UnitError::NoNumber | UnitError::Fraction | UnitError::UnknownUnit | UnitError::TooLarge => {
                        format!("a whole number and one of {units}")
                    }
                };
                reader.error_hint("bad-value", self.value, format!("`{text}` is not {wanted}: {error}"), hint);
                None
            }
        }
    }

    fn within<T: Quantity>(&self, value: T, bounds: Bounds<T>, reader: &mut Reader<'_>) -> Option<T> {
        if (bounds.least..=bounds.greatest).contains(&value) {
            return Some(value);
        }
        self.out_of_bounds(value.show_bound(), &bounds, reader);
        None
    }

    fn out_of_bounds<T: Quantity>(&self, value: impl Display, bounds: &Bounds<T>, reader: &mut Reader<'_>) {
        let (least, greatest) = (bounds.least.show_bound(), bounds.greatest.show_bound());
        let message = format!("`{}` must be from {least} to {greatest}, not {value}", self.name);
        reader.error("out-of-bounds", self.value, message);
    }
}
