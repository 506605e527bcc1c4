// How far two places on Earth are from each other.

/** Where something is, in degrees. */
export interface Place {
  readonly lat: number;
  readonly lon: number;
}

const EARTH_RADIUS_M = 6_371_000;

/** Metres along the surface; exact to half a percent, since the Earth is taken for a ball. */
export function metresBetween(a: Place, b: Place): number {
  const sine = (degrees: number) => Math.sin(radians(degrees) / 2) ** 2;
  const h = sine(b.lat - a.lat) + Math.cos(radians(a.lat)) * Math.cos(radians(b.lat)) * sine(b.lon - a.lon);
  return 2 * EARTH_RADIUS_M * Math.asin(Math.min(1, Math.sqrt(h)));
}

function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}
