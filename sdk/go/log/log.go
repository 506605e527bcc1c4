// Package log writes lines to the operator's log.
//
// A line is not an effect: it is written even if the input fails, and again if the host handles the input again. The
// host cuts long ones and limits how many come a second. Natively, in a rule's own tests, lines go to standard error.
package log

import "fmt"

// level is how much a line matters, as the contract counts.
type level uint32

const (
	levelDebug level = iota
	levelInfo
	levelWarn
	levelError
)

// Debug writes a line for the rule's author, formatted as by [fmt.Sprintf]. So do the others.
func Debug(format string, values ...any) {
	write(levelDebug, fmt.Sprintf(format, values...))
}

// Info writes a line that is worth knowing.
func Info(format string, values ...any) {
	write(levelInfo, fmt.Sprintf(format, values...))
}

// Warn writes a line of something that is odd, while the rule can go on.
func Warn(format string, values ...any) {
	write(levelWarn, fmt.Sprintf(format, values...))
}

// Error writes a line of something that is wrong.
func Error(format string, values ...any) {
	write(levelError, fmt.Sprintf(format, values...))
}
