module carpe

go 1.24
