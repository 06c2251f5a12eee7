package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"go.yaml.in/yaml/v3"
)

// A table is policies and what they decide. crates/vmcp-policy/tests/corpus/README.md says what its keys mean.
type table struct {
	About           string   `yaml:"about"`
	Server          string   `yaml:"server"`
	GroupClaim      string   `yaml:"groupClaim"`
	RoleClaim       string   `yaml:"roleClaim"`
	GroupEntityType string   `yaml:"groupEntityType"`
	Policies        []string `yaml:"policies"`
	Entities        string   `yaml:"entities"`
	Claims          string   `yaml:"claims"`
	Backend         string   `yaml:"backend"`
	Cases           []*entry `yaml:"cases"`

	file string
}

// An entry is a case.
type entry struct {
	Case      string          `yaml:"case"`
	Claims    string          `yaml:"claims"`
	Tool      string          `yaml:"tool"`
	Prompt    string          `yaml:"prompt"`
	Resource  string          `yaml:"resource"`
	Template  string          `yaml:"template"`
	Method    string          `yaml:"method"`
	Of        string          `yaml:"of"`
	Fits      []string        `yaml:"fits"`
	Backend   string          `yaml:"backend"`
	Hints     map[string]bool `yaml:"hints"`
	Arguments *string         `yaml:"arguments"`
	Decision  string          `yaml:"decision"`
	List      string          `yaml:"list"`
	Reference *reference      `yaml:"reference"`
}

// What the reference decides, where that differs.
type reference struct {
	Decision string `yaml:"decision"`
	List     string `yaml:"list"`
	Because  string `yaml:"because"`
}

// read reads every table below a folder.
func read(folder string) ([]*table, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	var all []*table
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		var tables []*table
		if err := decoder.Decode(&tables); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, one := range tables {
			one.file = filepath.Base(file)
			if err := one.complete(); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", file, one.About, err)
			}
		}
		all = append(all, tables...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: there is no table", folder)
	}
	return all, nil
}

// complete hands down to the cases what the table says for all, and checks their shape.
func (t *table) complete() error {
	if t.Server == "" {
		t.Server = "vmcp"
	}
	if t.GroupEntityType == "" {
		t.GroupEntityType = "THVGroup"
	}
	for _, one := range t.Cases {
		if one.Claims == "" {
			one.Claims = t.Claims
		}
		if one.Backend == "" {
			one.Backend = t.Backend
		}
		if err := one.check(); err != nil {
			return fmt.Errorf("%q: %w", one.Case, err)
		}
	}
	return nil
}

func (e *entry) check() error {
	named := 0
	for _, name := range []string{e.Tool, e.Prompt, e.Resource, e.Template, e.Method} {
		if name != "" {
			named++
		}
	}
	if named != 1 {
		return errors.New("name one of tool, prompt, resource, template and method")
	}
	if e.Template != "" && (e.Decision != "" || e.List == "") {
		return errors.New("a template has `list` and no `decision`: its URIs are read, it is not")
	}
	if e.Template == "" && e.Decision == "" {
		return errors.New("it has no `decision`")
	}
	if err := oneOf(e.Decision, "allow", "deny"); err != nil {
		return err
	}
	if err := oneOf(e.List, "shown", "hidden"); err != nil {
		return err
	}
	if e.Reference != nil {
		if e.Reference.Because == "" {
			return errors.New("`reference` does not say why it differs")
		}
		if err := oneOf(e.Reference.Decision, "allow", "deny"); err != nil {
			return err
		}
		return oneOf(e.Reference.List, "shown", "hidden")
	}
	return nil
}

func oneOf(word string, words ...string) error {
	for _, one := range words {
		if word == one || word == "" {
			return nil
		}
	}
	return fmt.Errorf("%q is none of %q", word, words)
}
