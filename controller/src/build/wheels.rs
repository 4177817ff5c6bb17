//! Whether the wheels in a release can be installed on a host: their tags (PEP 425, 600, 656)
//! against the host's Python, machine and C library.

use std::collections::BTreeMap;
use std::fmt;

/// Where wheels are to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// CPython's version, such as `(3, 11)`.
    pub python: (u32, u32),
    /// As `uname -m` says it, such as `x86_64`.
    pub machine: String,
    /// The C library's version; where it is not known, it is taken to be new enough.
    pub glibc: Option<(u32, u32)>,
}

/// A package that a release brings and a host cannot install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// As PyPI compares names.
    pub package: String,
    /// Its wheels in the release, by the names of their files. None of them fits.
    pub wheels: Vec<String>,
}

/// The name of a wheel's file, in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WheelName<'a> {
    pub(super) package: &'a str,
    pub(super) version: &'a str,
    python: &'a str,
    abi: &'a str,
    platform: &'a str,
}

impl Target {
    /// Reads `3.11` or `3.11.2`.
    pub fn new(python: &str, machine: &str, glibc: Option<&str>) -> Option<Self> {
        Some(Self {
            python: two_numbers(python, '.')?,
            machine: machine.to_owned(),
            glibc: match glibc {
                Some(version) => Some(two_numbers(version, '.')?),
                None => None,
            },
        })
    }

    /// The packages of which no wheel among `paths` fits. Other paths are passed over.
    pub fn misfits<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Vec<Misfit> {
        let mut packages: BTreeMap<String, (bool, Vec<String>)> = BTreeMap::new();
        for path in paths {
            let file = path.rsplit('/').next().unwrap_or(path);
            let Some(wheel) = WheelName::parse(file) else {
                continue;
            };
            let (fits, wheels) = packages.entry(normal_name(wheel.package)).or_default();
            *fits |= self.takes(&wheel);
            wheels.push(file.to_owned());
        }
        packages
            .into_iter()
            .filter(|(_, (fits, _))| !fits)
            .map(|(package, (_, wheels))| Misfit { package, wheels })
            .collect()
    }

    /// The command that fetches wheels for this target, whatever machine it runs on.
    pub fn pip_download(&self) -> String {
        let (machine, (major, minor)) = (&self.machine, self.python);
        let mut platforms = format!("--platform manylinux2014_{machine}");
        if self.glibc.is_some_and(|glibc| glibc >= (2, 28)) {
            platforms.push_str(&format!(" --platform manylinux_2_28_{machine}"));
        }
        format!(
            "pip download --only-binary=:all: {platforms} --python-version {major}.{minor} --implementation cp -d wheels -r requirements.txt"
        )
    }

    fn takes(&self, wheel: &WheelName<'_>) -> bool {
        let pythons = wheel.python.split('.');
        let interpreter = pythons.into_iter().any(|python| {
            let mut abis = wheel.abi.split('.');
            abis.any(|abi| self.takes_interpreter(python, abi))
        });
        let mut platforms = wheel.platform.split('.');
        interpreter && platforms.any(|platform| self.takes_platform(platform))
    }

    fn takes_interpreter(&self, python: &str, abi: &str) -> bool {
        let (major, minor) = self.python;
        let (kind, digits) = python.split_at_checked(2).unwrap_or_default();
        let version = tag_version(digits);
        match (kind, version) {
            ("py", Some((wants, None))) => abi == "none" && wants == major,
            ("py", Some((wants, Some(least)))) => abi == "none" && wants == major && least <= minor,
            ("cp", Some((wants, Some(built)))) if wants == major => match abi {
                "abi3" => built <= minor,
                // Up to 3.7 the interface had a letter for its allocator.
                _ if built == minor => {
                    abi == "none" || abi == python || (minor < 8 && abi == format!("{python}m"))
                }
                _ => false,
            },
            // `cp3-none-any` is what old tools wrote for any of them.
            ("cp", Some((wants, None))) => abi == "none" && wants == major,
            _ => false,
        }
    }

    fn takes_platform(&self, platform: &str) -> bool {
        if platform == "any" {
            return true;
        }
        let Some(family) = platform
            .strip_suffix(self.machine.as_str())
            .and_then(|family| family.strip_suffix('_'))
        else {
            return false;
        };
        let needs = match family {
            "linux" => return true,
            "manylinux1" => Some((2, 5)),
            "manylinux2010" => Some((2, 12)),
            "manylinux2014" => Some((2, 17)),
            // musllinux is for another C library, and macosx and win for other systems.
            _ => family
                .strip_prefix("manylinux_")
                .and_then(|version| two_numbers(version, '_')),
        };
        needs.is_some_and(|needs| self.glibc.is_none_or(|glibc| needs <= glibc))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.python;
        write!(out, "cp{major}{minor} linux {}", self.machine)
    }
}

impl fmt::Display for Misfit {
    /// `psycopg2 cp312-macosx_14_0_arm64`, and how many more there are.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.package)?;
        let Some((first, more)) = self.wheels.split_first() else {
            return Ok(());
        };
        if let Some(wheel) = WheelName::parse(first) {
            write!(out, " {}-{}", wheel.python, wheel.platform)?;
        }
        if !more.is_empty() {
            write!(out, " and {} more", more.len())?;
        }
        Ok(())
    }
}

impl<'a> WheelName<'a> {
    /// `name-version(-build)-python-abi-platform.whl`.
    pub(super) fn parse(file: &'a str) -> Option<Self> {
        let parts: Vec<&str> = file.strip_suffix(".whl")?.split('-').collect();
        let (package, version, tags) = match parts.as_slice() {
            [package, version, tags @ ..] if tags.len() == 3 => (package, version, tags),
            [package, version, _build, tags @ ..] if tags.len() == 3 => (package, version, tags),
            _ => return None,
        };
        let [python, abi, platform] = tags else {
            return None;
        };
        Some(Self {
            package,
            version,
            python,
            abi,
            platform,
        })
    }
}

/// As PyPI compares names.
pub(super) fn normal_name(name: &str) -> String {
    let mut normal = String::new();
    for c in name.trim().chars() {
        if !matches!(c, '-' | '_' | '.') {
            normal.push(c.to_ascii_lowercase());
        } else if !normal.ends_with('-') {
            normal.push('-');
        }
    }
    normal
}

/// `3`, `311` or `3_11` of a tag.
fn tag_version(digits: &str) -> Option<(u32, Option<u32>)> {
    let (major, minor) = digits.split_at_checked(1)?;
    let minor = minor.strip_prefix('_').unwrap_or(minor);
    let minor = match minor {
        "" => None,
        digits => Some(digits.parse().ok()?),
    };
    Some((major.parse().ok()?, minor))
}

fn two_numbers(text: &str, between: char) -> Option<(u32, u32)> {
    let mut numbers = text.split(between);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian() -> Target {
        Target::new("3.11.2", "x86_64", Some("2.36")).unwrap()
    }

    fn fits(target: &Target, tags: &str) -> bool {
        let path = format!("wheels/a-1.0-{tags}.whl");
        target.misfits([path.as_str()]).is_empty()
    }

    #[test]
    fn wheels_fit_by_their_tags() {
        for tags in [
            "py3-none-any",
            "py2.py3-none-any",
            "py311-none-any",
            "py38-none-any",
            "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
            "cp311-cp311-manylinux1_x86_64",
            "cp311-cp311-linux_x86_64",
            "cp311-none-any",
            "cp36-abi3-manylinux_2_28_x86_64",
            "cp311-abi3-manylinux_2_36_x86_64",
            "cp37.cp311-abi3.cp311-manylinux2010_x86_64",
            "1build-py3-none-any",
            "py3-none-manylinux2014_x86_64",
        ] {
            assert!(fits(&debian(), tags), "{tags}");
        }
        for tags in [
            "cp312-cp312-manylinux_2_17_x86_64",
            "cp310-cp310-manylinux_2_17_x86_64",
            "cp312-abi3-manylinux_2_17_x86_64",
            "cp311-cp311-macosx_11_0_x86_64",
            "cp311-cp311-macosx_14_0_arm64",
            "cp311-cp311-win_amd64",
            "cp311-cp311-musllinux_1_2_x86_64",
            "cp311-cp311-manylinux_2_17_aarch64",
            "cp311-cp311-manylinux_2_39_x86_64",
            "cp311-cp311t-manylinux_2_17_x86_64",
            "pp311-pypy311_pp73-manylinux_2_17_x86_64",
            "py2-none-any",
            "py312-none-any",
            "py4-none-any",
        ] {
            assert!(!fits(&debian(), tags), "{tags}");
        }
    }

    #[test]
    fn the_target_decides() {
        let arm = Target::new("3.12", "aarch64", None).unwrap();
        assert!(fits(&arm, "cp312-cp312-manylinux_2_99_aarch64"));
        assert!(!fits(&arm, "cp311-cp311-manylinux_2_17_aarch64"));
        let old = Target::new("3.7", "x86_64", Some("2.12")).unwrap();
        assert!(fits(&old, "cp37-cp37m-manylinux2010_x86_64"));
        assert!(!fits(&old, "cp37-cp37m-manylinux2014_x86_64"));
        assert_eq!(Target::new("three", "x86_64", None), None);
        assert_eq!(Target::new("3.11", "x86_64", Some("new")), None);
    }

    #[test]
    fn only_packages_without_a_wheel_that_fits_are_named() {
        let paths = [
            "wheels/psycopg2-2.9-cp312-cp312-macosx_14_0_arm64.whl",
            "wheels/Psycopg2-2.9-cp312-cp312-win_amd64.whl",
            "wheels/idna-3.7-py3-none-any.whl",
            "wheels/orjson-3-cp312-cp312-macosx_14_0_arm64.whl",
            "wheels/orjson-3-cp311-cp311-manylinux_2_17_x86_64.whl",
            "manage.py",
            "odd.whl",
        ];
        let misfits = debian().misfits(paths);
        assert_eq!(misfits.len(), 1);
        assert_eq!(
            misfits[0].to_string(),
            "psycopg2 cp312-macosx_14_0_arm64 and 1 more"
        );
        assert_eq!(debian().to_string(), "cp311 linux x86_64");
    }

    #[test]
    fn the_command_fetches_for_the_target() {
        assert_eq!(
            debian().pip_download(),
            "pip download --only-binary=:all: --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 --python-version 3.11 --implementation cp -d wheels -r requirements.txt"
        );
        let arm = Target::new("3.9", "aarch64", Some("2.17")).unwrap();
        assert_eq!(
            arm.pip_download(),
            "pip download --only-binary=:all: --platform manylinux2014_aarch64 --python-version 3.9 --implementation cp -d wheels -r requirements.txt"
        );
    }
}
