package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// job is what the driver asks for, in one line; see rounds.py.
type job struct {
	Do      string   `json:"do"`
	URL     string   `json:"url"`
	Command []string `json:"command"`
	Prefix  string   `json:"prefix"`
	Server  string   `json:"server"`
	Mark    string   `json:"mark"`
	Seconds int      `json:"seconds"`
}

const (
	stepPatience = 20 * time.Second
	// What is sent before an answer, or with it, may be read a moment after it.
	settling = 3 * time.Second
)

var (
	errOfTool = errors.New("of the tool")
	tools     = strings.Fields("echo add count work ask sample roots unlock grow")
)

func answerJobs(from io.Reader, to io.Writer, isLegacy bool) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	answers := json.NewEncoder(to)
	for lines.Scan() {
		var job job
		if err := json.Unmarshal(lines.Bytes(), &job); err != nil {
			return err
		}
		if err := answers.Encode(answer(job, isLegacy)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answer(job job, isLegacy bool) any {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(job.Seconds)*time.Second)
	defer cancel()
	peer, err := connect(ctx, job, isLegacy)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return map[string]string{"failed": kind(err)}
	}
	defer peer.Close()
	if job.Do == "list" {
		names, err := peer.names(ctx)
		if err != nil {
			return map[string]string{"failed": kind(err)}
		}
		return map[string][]string{"tools": names}
	}
	return (&round{peer: peer, job: job}).run(ctx)
}

// kind says of which kind an error is.
func kind(err error) string {
	var refused *jsonrpc.Error
	switch {
	case errors.As(err, &refused):
		return fmt.Sprint(refused.Code)
	case errors.Is(err, context.DeadlineExceeded):
		return "nothing in time"
	case errors.Is(err, errOfTool):
		return errOfTool.Error()
	default:
		fmt.Fprintln(os.Stderr, err)
		return "of the client"
	}
}

// round is one connection, on which every step is taken.
type round struct {
	peer *peer
	job  job
}

func (r *round) run(ctx context.Context) map[string]string {
	seen := map[string]string{"era": r.peer.InitializeResult().ProtocolVersion}
	steps := map[string]func(context.Context) (string, error){
		"list": r.list, "resource": r.resource, "prompt": r.prompt, "echo": r.echo, "add": r.add,
		"count": r.count, "work": r.work, "ask": r.plain("ask"), "sample": r.plain("sample"),
		"roots": r.plain("roots"), "unlock": r.unlock, "grow": r.grow,
	}
	for _, name := range strings.Fields("list resource prompt echo add count work ask sample roots unlock grow") {
		step, cancel := context.WithTimeout(ctx, stepPatience)
		said, err := steps[name](step)
		cancel()
		if err != nil {
			said = "error: " + kind(err)
		}
		seen[name] = said
	}
	return seen
}

func (r *round) call(ctx context.Context, tool string, arguments map[string]any) (string, error) {
	said, _, err := r.peer.call(ctx, r.job.Prefix+tool, arguments)
	return said, err
}

func (r *round) plain(tool string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) { return r.call(ctx, tool, map[string]any{}) }
}

// names are those of the server's tools.
func (r *round) names(ctx context.Context) ([]string, error) {
	every, err := r.peer.names(ctx)
	var names []string
	for _, name := range every {
		if own, is := strings.CutPrefix(name, r.job.Prefix); is {
			names = append(names, own)
		}
	}
	return names, err
}

// list leaves out what other clients have added on a server that all share.
func (r *round) list(ctx context.Context) (string, error) {
	names, err := r.names(ctx)
	known := slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(tools, name) })
	return strings.Join(known, ","), err
}

func presence(is bool) string {
	if is {
		return "listed"
	}
	return "not listed"
}

func (r *round) resource(ctx context.Context) (string, error) {
	uri, isListed := "memo://"+r.job.Server+"/note", false
	for resource, err := range r.peer.Resources(ctx, nil) {
		if err != nil {
			return "", err
		}
		isListed = isListed || resource.URI == uri
	}
	read, err := r.peer.ReadResource(ctx, &mcp.ReadResourceParams{URI: uri})
	if err != nil {
		return "", err
	}
	return presence(isListed) + "; " + read.Contents[0].Text, nil
}

func (r *round) prompt(ctx context.Context) (string, error) {
	name, isListed := r.job.Prefix+"greet", false
	for prompt, err := range r.peer.Prompts(ctx, nil) {
		if err != nil {
			return "", err
		}
		isListed = isListed || prompt.Name == name
	}
	got, err := r.peer.GetPrompt(ctx, &mcp.GetPromptParams{Name: name, Arguments: map[string]string{"who": "Ann"}})
	if err != nil {
		return "", err
	}
	return presence(isListed) + "; " + got.Messages[0].Content.(*mcp.TextContent).Text, nil
}

func (r *round) echo(ctx context.Context) (string, error) {
	return r.call(ctx, "echo", map[string]any{"message": "hello"})
}

func (r *round) add(ctx context.Context) (string, error) {
	_, structured, err := r.peer.call(ctx, r.job.Prefix+"add", map[string]any{"a": 2, "b": 3})
	if err != nil {
		return "", err
	}
	object, _ := structured.(map[string]any)
	return fmt.Sprint(object["sum"]), nil
}

func (r *round) count(ctx context.Context) (string, error) {
	var said []string
	for range 3 {
		one, err := r.plain("count")(ctx)
		if err != nil {
			return "", err
		}
		said = append(said, one)
	}
	return strings.Join(said, ","), nil
}

// until waits for something that the peer has been sent already.
func until(condition func() bool) bool {
	for end := time.Now().Add(settling); !condition() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	return condition()
}

func (r *round) work(ctx context.Context) (string, error) {
	r.peer.progress.Store(0)
	r.peer.logs.Store(0)
	said, err := r.call(ctx, "work", map[string]any{"steps": 3})
	if err != nil {
		return "", err
	}
	until(func() bool { return r.peer.progress.Load() >= 3 && r.peer.logs.Load() >= 3 })
	return fmt.Sprintf("%s; progress %d, logs %d", said, r.peer.progress.Load(), r.peer.logs.Load()), nil
}

// unlock makes a tool appear in mid-session, which is to be listed and to be called.
func (r *round) unlock(ctx context.Context) (string, error) {
	secret := "secret_" + r.job.Mark
	r.peer.told.Store(0)
	said, err := r.call(ctx, "unlock", map[string]any{"tool": secret})
	if err != nil {
		return "", err
	}
	told := "not told"
	if until(func() bool { return r.peer.told.Load() > 0 }) {
		told = "told"
	}
	isListed := until(func() bool {
		names, err := r.names(ctx)
		return err == nil && slices.Contains(names, secret)
	})
	called, err := r.plain(secret)(ctx)
	if err != nil {
		called = "error: " + kind(err)
	}
	return strings.Join([]string{said, told, presence(isListed), called}, "; "), nil
}

func (r *round) grow(ctx context.Context) (string, error) {
	return r.call(ctx, "grow", map[string]any{"tool": "grown_" + r.job.Mark})
}
