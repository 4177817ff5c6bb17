//! The form of CycloneDX 1.6.

use serde::Serialize;

use super::component::{Components, Facts, Package, Subject};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Component<'a>>,
}

#[derive(Debug, Serialize)]
struct Metadata<'a> {
    component: Application<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property<'a>>,
}

#[derive(Debug, Serialize)]
struct Application<'a> {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: String,
    name: &'a str,
    version: &'a str,
}

#[derive(Debug, Serialize)]
struct Property<'a> {
    name: &'static str,
    value: &'a str,
}

#[derive(Debug, Serialize)]
struct Component<'a> {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    bom_ref: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash<'a>>,
    purl: &'a str,
    evidence: Evidence<'a>,
}

#[derive(Debug, Serialize)]
struct Hash<'a> {
    alg: &'static str,
    content: &'a str,
}

#[derive(Debug, Serialize)]
struct Evidence<'a> {
    occurrences: Vec<Occurrence<'a>>,
}

#[derive(Debug, Serialize)]
struct Occurrence<'a> {
    location: &'a str,
}

pub(super) fn document<'a>(subject: &Subject<'a>, components: &'a Components) -> Document<'a> {
    Document {
        schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
        bom_format: "CycloneDX",
        spec_version: "1.6",
        version: 1,
        metadata: Metadata {
            component: Application {
                r#type: "application",
                bom_ref: format!("{}@{}", subject.app, subject.version),
                name: subject.app,
                version: subject.version,
            },
            properties: components
                .unread
                .iter()
                .map(|path| Property {
                    name: "longshore:unread",
                    value: path,
                })
                .collect(),
        },
        components: components
            .all
            .iter()
            .map(|(purl, (package, facts))| component(purl, package, facts))
            .collect(),
    }
}

fn component<'a>(purl: &'a str, package: &'a Package, facts: &'a Facts) -> Component<'a> {
    let hash = |(alg, content): &'a (&'static str, String)| Hash { alg, content };
    let place = |location: &'a String| Occurrence { location };
    Component {
        r#type: "library",
        bom_ref: purl,
        name: &package.name,
        version: package.version.as_deref(),
        hashes: facts.hashes.iter().map(hash).collect(),
        purl,
        evidence: Evidence {
            occurrences: facts.places.iter().map(place).collect(),
        },
    }
}
