package carpe_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestREADME tries what the README shows: both rules compile, and the first passes the test.
func TestREADME(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	sdk, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "\n```")
	code := func(begin string) string {
		for _, block := range blocks {
			if _, text, _ := strings.Cut(block, "\n"); strings.HasPrefix(text, begin) {
				return text + "\n"
			}
		}
		t.Fatalf("no block begins with %q", begin)
		return ""
	}
	hello := code("package main")
	lines := 0
	for line := range strings.Lines(hello) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	if lines > 15 {
		t.Errorf("the rule has %d lines", lines)
	}
	module := strings.Replace(code("module overheat"), "../../sdk/go", fmt.Sprintf("%q", sdk), 1)
	head := "package main\nimport (\"testing\"; \"slices\"; \"carpe\"; \"carpe/carpetest\")\n"
	try(t, map[string]string{
		"rule.go": hello, "go.mod": module, "rule_test.go": head + code("func TestThreeTimesTooHot"),
	})
	head = "package main\nimport (\"time\"; \"carpe\"; \"carpe/log\")\nfunc main() {}\n"
	try(t, map[string]string{"rule.go": head + code("type Doses"), "go.mod": module})
}

func try(t *testing.T, files map[string]string) {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("go", "test", "./...")
	command.Dir = folder
	command.Env = append(os.Environ(), "GOPROXY=off", "GOTOOLCHAIN=local", "GOFLAGS=")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s\n%s", err, output)
	}
}
