package carpe

import "math"

// Streak is a ready-made state: how many times in a row something has held.
type Streak uint32

// Of counts one more if it holds, else begins again at 0. Returns the length; it stops at the greatest number.
func (streak *Streak) Of(holds bool) uint32 {
	switch {
	case !holds:
		*streak = 0
	case *streak < math.MaxUint32:
		*streak++
	}
	return uint32(*streak)
}
