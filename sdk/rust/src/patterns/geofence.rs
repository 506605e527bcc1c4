//! Whether something is in an area on the Earth.

use std::f64::consts::PI;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Hysteresis, Thresholds, Turn};
use crate::Instant;

/// The Earth's mean radius.
const EARTH_METRES: f64 = 6_371_008.8;

/// Whether something is in an area: it enters at its border, and leaves only when it is a margin outside of
/// it, so that somebody who stands at the border with an inaccurate receiver does not come and go; and it
/// does either only once it has been there for a dwell.
///
/// ```
/// # use std::time::Duration;
/// # use carpe_sdk::patterns::{Area, Geofence, Margin, Place, Turn};
/// let square = Place { latitude: 52.5200, longitude: 13.4050 };
/// let shop = Area::Circle { centre: square, radius_metres: 40.0 };
/// let margin = Margin { metres: 30.0, dwell: Duration::ZERO };
/// let mut near = Geofence::default();
/// assert_eq!(near.of(square, 1_000, &shop, margin), Some(Turn::Entered));
/// let on = Place { latitude: 52.5205, ..square };             // 56 m: outside, but within the margin
/// assert_eq!(near.of(on, 2_000, &shop, margin), None);
/// let away = Place { latitude: 52.5210, ..square };
/// assert_eq!(near.of(away, 3_000, &shop, margin), Some(Turn::Left));
/// ```
///
/// A [`Hysteresis`] over [`Area::metres_outside`]: **late**, **repeated** and **out of order** are as there.
/// A place that is none ([`Place::is_valid`]) changes nothing.
///
/// Constant time for a circle, in proportion to its corners for a polygon; at most [`Geofence::MAX_BYTES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Geofence {
    is_in: Hysteresis,
}

/// A place on the Earth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// In degrees, north is positive.
    pub latitude: f64,
    /// In degrees, east is positive.
    pub longitude: f64,
}

/// An area on the Earth, as an operator may configure it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// What is not farther from a place.
    Circle {
        /// The place.
        centre: Place,
        /// How far.
        radius_metres: f64,
    },
    /// What lies within these corners, in order; the last is joined to the first. The map is taken to be flat
    /// around the place that is asked about: meant for areas as large as a city, and not for the poles.
    Polygon(Vec<Place>),
}

/// When a [`Geofence`] is left, and how long it takes to enter or leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// It is left when it is this far outside.
    pub metres: f64,
    /// For how long something must have been inside, or so far outside.
    pub dwell: Duration,
}

impl Geofence {
    /// What it takes at most as JSON.
    pub const MAX_BYTES: usize = Hysteresis::MAX_BYTES;

    /// Something is at this place. Says if that is a change.
    pub fn of(&mut self, place: Place, time: Instant, area: &Area, margin: Margin) -> Option<Turn> {
        if !place.is_valid() {
            return None;
        }
        let thresholds = Thresholds { enter: 0.0, leave: -margin.metres.max(0.0), dwell: margin.dwell };
        self.is_in.of(-area.metres_outside(place), time, thresholds)
    }

    /// Whether it is in the area.
    pub fn is_in(&self) -> bool {
        self.is_in.is_in()
    }
}

impl Place {
    /// Whether there is such a place: latitude from -90 to 90, longitude from -180 to 180.
    pub fn is_valid(self) -> bool {
        (-90.0..=90.0).contains(&self.latitude) && (-180.0..=180.0).contains(&self.longitude)
    }

    /// Where it is from here, in metres east and north, on a flat map.
    fn flat(self, here: Place) -> (f64, f64) {
        let east = (self.longitude - here.longitude + 540.0).rem_euclid(360.0) - 180.0;
        let metres = EARTH_METRES * PI / 180.0;
        (east * metres * here.latitude.to_radians().cos(), (self.latitude - here.latitude) * metres)
    }
}

impl Area {
    /// How far outside a place is, in metres: negative inside, by how far it is from the border. A polygon of
    /// fewer than 3 corners has no inside.
    pub fn metres_outside(&self, place: Place) -> f64 {
        match self {
            Area::Circle { centre, radius_metres } => metres_between(place, *centre) - radius_metres,
            Area::Polygon(corners) => {
                let corners: Vec<(f64, f64)> = corners.iter().map(|corner| corner.flat(place)).collect();
                let sides = corners.iter().zip(corners.iter().cycle().skip(1));
                let (mut is_in, mut nearest) = (false, f64::INFINITY);
                for (&from, &to) in sides {
                    nearest = nearest.min(from_origin(from, to));
                    // A ray to the east crosses the border an odd number of times from inside.
                    let crosses = (from.1 > 0.0) != (to.1 > 0.0);
                    if crosses && from.0 - from.1 * (to.0 - from.0) / (to.1 - from.1) > 0.0 {
                        is_in = !is_in;
                    }
                }
                if is_in { -nearest } else { nearest }
            }
        }
    }
}

/// How far a side is from the origin.
fn from_origin(from: (f64, f64), to: (f64, f64)) -> f64 {
    let (x, y) = (to.0 - from.0, to.1 - from.1);
    let square = x * x + y * y;
    let along = if square > 0.0 { (-(from.0 * x + from.1 * y) / square).clamp(0.0, 1.0) } else { 0.0 };
    (from.0 + along * x).hypot(from.1 + along * y)
}

/// The distance of two places in metres, on a sphere as large as the Earth (haversine).
pub fn metres_between(one: Place, other: Place) -> f64 {
    let (from, to) = (one.latitude.to_radians(), other.latitude.to_radians());
    let north = ((to - from) / 2.0).sin();
    let east = ((other.longitude - one.longitude).to_radians() / 2.0).sin();
    let square = north * north + from.cos() * to.cos() * east * east;
    2.0 * EARTH_METRES * square.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::check::kept;

    fn place(latitude: f64, longitude: f64) -> Place {
        Place { latitude, longitude }
    }

    #[test]
    fn distances_are_those_of_the_sphere() {
        let quarter = EARTH_METRES * PI / 2.0;
        for (one, other, metres) in [
            (place(0.0, 0.0), place(0.0, 90.0), quarter),
            (place(90.0, 7.0), place(0.0, 90.0), quarter),
            (place(0.0, 179.5), place(0.0, -179.5), quarter / 90.0),
            (place(10.0, 10.0), place(-10.0, -170.0), 2.0 * quarter),
            (place(5.0, 5.0), place(5.0, 5.0), 0.0),
        ] {
            assert!((metres_between(one, other) - metres).abs() < 0.5, "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_polygon_may_lie_across_the_date_line_and_have_a_dent() {
        // A U that is open to the north, 2 degrees wide.
        let corners = [
            (-1.0, 179.0),
            (-1.0, -179.0),
            (1.0, -179.0),
            (1.0, -179.9),
            (0.0, 180.0),
            (1.0, 179.9),
            (1.0, 179.0),
        ];
        let area = Area::Polygon(corners.iter().map(|(north, east)| place(*north, *east)).collect());
        for (at, is_in) in [
            (place(-0.5, 180.0), true),
            (place(-0.5, -180.0), true),
            (place(0.5, 179.5), true),
            (place(0.5, -179.5), true),
            (place(0.5, 180.0), false),
            (place(0.5, 178.0), false),
            (place(0.5, -178.0), false),
            (place(-2.0, 180.0), false),
        ] {
            assert_eq!(area.metres_outside(at) < 0.0, is_in, "{at:?}");
        }
        assert_eq!(Area::Polygon(Vec::new()).metres_outside(place(0.0, 0.0)), f64::INFINITY);
    }

    #[test]
    fn what_is_no_place_changes_nothing() {
        let area = Area::Circle { centre: place(0.0, 0.0), radius_metres: 1e9 };
        let margin = Margin { metres: 0.0, dwell: Duration::ZERO };
        let mut fence = Geofence::default();
        for (latitude, longitude) in [(f64::NAN, 0.0), (91.0, 0.0), (0.0, 181.0), (0.0, f64::INFINITY)] {
            assert_eq!(fence.of(place(latitude, longitude), 1, &area, margin), None);
        }
        assert_eq!(fence, Geofence::default());
    }

    proptest! {
        /// A circle, and a polygon of many corners on it, are nearly the same.
        #[test]
        fn a_polygon_is_as_far_as_the_circle_around_it(
            latitude in -60.0..60.0_f64,
            longitude in -180.0..180.0_f64,
            north in -0.02..0.02_f64,
            east in -0.02..0.02_f64,
        ) {
            let centre = place(latitude, longitude);
            let wrapped = |degrees: f64| (degrees + 540.0).rem_euclid(360.0) - 180.0;
            let metres = 1_000.0;
            let degrees = metres / (EARTH_METRES * PI / 180.0);
            let corner = |n: u32| {
                let (sin, cos) = (f64::from(n) * PI / 90.0).sin_cos();
                let east = degrees * cos / latitude.to_radians().cos();
                place(latitude + degrees * sin, wrapped(longitude + east))
            };
            let polygon = Area::Polygon((0..180).map(corner).collect());
            let circle = Area::Circle { centre, radius_metres: metres };
            let at = place(latitude + north, wrapped(longitude + east));
            let (one, other) = (polygon.metres_outside(at), circle.metres_outside(at));
            prop_assert!((one - other).abs() < 10.0, "{} {}", one, other);
        }

        /// It is in where the last place that is inside, or a margin outside, was inside.
        #[test]
        fn it_is_in_where_a_list_of_all_says(metres in prop::collection::vec(0.0..100.0_f64, 1..60)) {
            let area = Area::Circle { centre: place(0.0, 0.0), radius_metres: 40.0 };
            let margin = Margin { metres: 30.0, dwell: Duration::ZERO };
            let mut fence = Geofence::default();
            for (time, at) in (1..).zip(&metres) {
                fence.of(place(at / (EARTH_METRES * PI / 180.0), 0.0), time, &area, margin);
                fence = kept(fence, Geofence::MAX_BYTES);
                let mut seen = metres.iter().take(time as usize).rev();
                let clear = seen.find(|at| **at < 40.0 || **at > 70.0);
                prop_assert_eq!(fence.is_in(), clear.is_some_and(|at| *at < 40.0));
            }
        }
    }
}
