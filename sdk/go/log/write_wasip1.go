package log

//go:wasmimport carpe:rule/log@0.1.0 write
func write(level level, message string)
