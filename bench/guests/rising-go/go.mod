module rising

go 1.24

require carpe v0.0.0

replace carpe => ../../../sdk/go
