//! Where the lamps stand, and which of them a car needs.

use std::collections::BTreeSet;

use carpe_sdk::prelude::*;

/// How many lamps one configuration may have.
const MAX_LAMPS: usize = 10_000;

/// A place on the map, in metres east and north of its origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// A lamp and where it stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lamp {
    id: String,
    x: f64,
    y: f64,
}

/// Lamps at equal distances along the x axis, from 0: `PREFIX0`, `PREFIX1`...
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    prefix: String,
    lamps: usize,
    spacing_metres: f64,
}

/// How much of the surroundings of a car is lit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beam {
    pub(crate) ahead_metres: f64,
    pub(crate) behind_metres: f64,
    pub(crate) aside_metres: f64,
}

/// All lamps, from a list, a row or both.
pub(crate) fn lamps(list: &[Lamp], row: Option<&Row>) -> Result<Vec<Lamp>> {
    let row_lamps = row.map_or(0, |row| row.lamps);
    match list.len().saturating_add(row_lamps) {
        0 => return Err(Error::new("there is no lamp: say where they stand in `lamps`, or a `row` of them")),
        1..=MAX_LAMPS => {}
        count => return Err(Error::new(format!("{count} lamps are too many: at most {MAX_LAMPS}"))),
    }
    let mut lamps = list.to_vec();
    if let Some(row) = row {
        if row.spacing_metres <= 0.0 {
            return Err(Error::new("`row.spacing_metres` must be above 0"));
        }
        lamps.extend((0..row.lamps).map(|at| Lamp {
            id: format!("{}{at}", row.prefix),
            x: at as f64 * row.spacing_metres,
            y: 0.0,
        }));
    }
    let ids: BTreeSet<&str> = lamps.iter().map(|lamp| lamp.id.as_str()).collect();
    if ids.len() < lamps.len() {
        return Err(Error::new("two lamps have the same `id`"));
    }
    Ok(lamps)
}

impl Beam {
    /// The lamps that a car needs which is here and moves in this direction: a vector of length 1. Standing
    /// still since it was first seen, it needs those around it.
    pub(crate) fn lamps<'l>(
        &self,
        lamps: &'l [Lamp],
        here: Point,
        direction: Option<Point>,
    ) -> BTreeSet<&'l str> {
        let lit = |lamp: &&Lamp| {
            let to = Point { x: lamp.x, y: lamp.y }.minus(here);
            match direction {
                None => to.length() <= self.behind_metres,
                Some(ahead) => {
                    let along = to.x * ahead.x + to.y * ahead.y;
                    let across = to.x * ahead.y - to.y * ahead.x;
                    (-self.behind_metres..=self.ahead_metres).contains(&along)
                        && across.abs() <= self.aside_metres
                }
            }
        };
        lamps.iter().filter(lit).map(|lamp| lamp.id.as_str()).collect()
    }
}

impl Point {
    pub(crate) fn minus(self, other: Point) -> Point {
        Point { x: self.x - other.x, y: self.y - other.y }
    }

    pub(crate) fn length(self) -> f64 {
        self.x.hypot(self.y)
    }
}
