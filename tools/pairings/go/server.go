package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Some clients lose what comes together with an answer.
const stepTime = 20 * time.Millisecond

type none struct{}

type sum struct {
	Sum float64 `json:"sum"`
}

func text(said string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: said}}}
}

// counts is how often each session has called `count`.
type counts struct {
	lock sync.Mutex
	of   map[*mcp.ServerSession]int
}

func (c *counts) next(session *mcp.ServerSession) int {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.of[session]++
	return c.of[session]
}

func serve(name string, transport []string, isLegacy bool) error {
	server := newServer(name, isLegacy)
	if transport[0] == "stdio" {
		return server.Run(context.Background(), &mcp.StdioTransport{})
	}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	return http.ListenAndServe("127.0.0.1:"+transport[1], handler)
}

func newServer(name string, isLegacy bool) *mcp.Server {
	options := &mcp.ServerOptions{}
	if isLegacy {
		options.SupportedProtocolVersions = []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}
	}
	server := mcp.NewServer(&mcp.Implementation{Name: name, Version: "1"}, options)
	addTools(server, name)
	addQuestions(server)
	addGrowth(server)
	uri := "memo://" + name + "/note"
	server.AddResource(&mcp.Resource{Name: "note", URI: uri},
		func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			content := &mcp.ResourceContents{URI: uri, Text: "the note of " + name}
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{content}}, nil
		})
	who := []*mcp.PromptArgument{{Name: "who", Required: true}}
	server.AddPrompt(&mcp.Prompt{Name: "greet", Arguments: who},
		func(_ context.Context, request *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			content := &mcp.TextContent{Text: fmt.Sprintf("Greet %s.", request.Params.Arguments["who"])}
			message := &mcp.PromptMessage{Role: "user", Content: content}
			return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{message}}, nil
		})
	return server
}

func addTools(server *mcp.Server, name string) {
	type message struct {
		Message string `json:"message"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "echo"},
		func(_ context.Context, _ *mcp.CallToolRequest, in message) (*mcp.CallToolResult, any, error) {
			return text(name + ": " + in.Message), nil, nil
		})
	type terms struct {
		A float64 `json:"a"`
		B float64 `json:"b"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "add"},
		func(_ context.Context, _ *mcp.CallToolRequest, in terms) (*mcp.CallToolResult, sum, error) {
			return nil, sum{in.A + in.B}, nil
		})
	calls := &counts{of: map[*mcp.ServerSession]int{}}
	mcp.AddTool(server, &mcp.Tool{Name: "count"},
		func(_ context.Context, request *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
			return text(fmt.Sprint(calls.next(request.Session))), nil, nil
		})
	mcp.AddTool(server, &mcp.Tool{Name: "work"}, work)
}

type steps struct {
	Steps int `json:"steps"`
}

func work(ctx context.Context, request *mcp.CallToolRequest, in steps) (*mcp.CallToolResult, any, error) {
	for step := 1; step <= in.Steps; step++ {
		said := fmt.Sprintf("step %d", step)
		progress := &mcp.ProgressNotificationParams{
			ProgressToken: request.Params.GetProgressToken(),
			Progress:      float64(step),
			Total:         float64(in.Steps),
			Message:       said,
		}
		if err := request.Session.NotifyProgress(ctx, progress); err != nil {
			return nil, nil, err
		}
		if err := request.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "info", Data: said}); err != nil {
			return nil, nil, err
		}
		time.Sleep(stepTime)
	}
	return text("done"), nil, nil
}

// addQuestions adds what asks the client; the SDK turns the questions into requests of the legacy era.
func addQuestions(server *mcp.Server) {
	person := &jsonschema.Schema{
		Type:       "object",
		Properties: map[string]*jsonschema.Schema{"name": {Type: "string"}},
		Required:   []string{"name"},
	}
	who := &mcp.ElicitParams{Message: "Who are you?", RequestedSchema: person}
	addQuestion(server, "ask", who, func(said *mcp.ElicitResult) string {
		return fmt.Sprintf("%s %s", said.Action, said.Content["name"])
	})
	poem := &mcp.CreateMessageParams{
		Messages:  []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: "a poem"}}},
		MaxTokens: 10,
	}
	addQuestion(server, "sample", poem, func(said *mcp.CreateMessageWithToolsResult) string {
		return said.Content[0].(*mcp.TextContent).Text
	})
	addQuestion(server, "roots", &mcp.ListRootsParams{}, func(said *mcp.ListRootsResult) string {
		return said.Roots[0].URI
	})
}

func addQuestion[A mcp.InputResponse](server *mcp.Server, tool string, question mcp.InputRequest, say func(A) string) {
	mcp.AddTool(server, &mcp.Tool{Name: tool},
		func(_ context.Context, request *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
			said, isAnswered := request.Params.InputResponses["it"].(A)
			if !isAnswered {
				return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"it": question}}, nil, nil
			}
			return text(say(said)), nil, nil
		})
}

// addGrowth adds what adds tools; the SDK announces every tool that is added.
func addGrowth(server *mcp.Server) {
	type named struct {
		Tool string `json:"tool"`
	}
	for tool, said := range map[string]string{"unlock": "unlocked", "grow": "grown"} {
		mcp.AddTool(server, &mcp.Tool{Name: tool},
			func(_ context.Context, _ *mcp.CallToolRequest, in named) (*mcp.CallToolResult, any, error) {
				mcp.AddTool(server, &mcp.Tool{Name: in.Tool},
					func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, any, error) {
						return text("the secret"), nil, nil
					})
				return text(said), nil, nil
			})
	}
}
