package main

import (
	"context"
	"os/exec"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// peer is one connection, and what came on it without being asked for.
type peer struct {
	*mcp.ClientSession
	told, progress, logs atomic.Int32
}

const modernEra = "2026-07-28"

func connect(ctx context.Context, job job, isLegacy bool) (*peer, error) {
	peer := &peer{}
	client := mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1"}, &mcp.ClientOptions{
		CreateMessageHandler: func(_ context.Context, request *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			asked := request.Params.Messages[0].Content.(*mcp.TextContent).Text
			content := &mcp.TextContent{Text: "re: " + asked}
			return &mcp.CreateMessageResult{Role: "assistant", Model: "test", Content: content}, nil
		},
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ann"}}, nil
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { peer.told.Add(1) },
		LoggingMessageHandler:  func(context.Context, *mcp.LoggingMessageRequest) { peer.logs.Add(1) },
		ProgressNotificationHandler: func(context.Context, *mcp.ProgressNotificationClientRequest) {
			peer.progress.Add(1)
		},
	})
	client.AddRoots(&mcp.Root{URI: "file:///first", Name: "first"})
	var options *mcp.ClientSessionOptions
	if isLegacy {
		options = &mcp.ClientSessionOptions{ProtocolVersion: "2025-11-25"}
	}
	session, err := client.Connect(ctx, transportOf(job), options)
	if err != nil {
		return nil, err
	}
	peer.ClientSession = session
	greeting := session.InitializeResult()
	if greeting.ProtocolVersion != modernEra && greeting.Capabilities.Logging != nil {
		if err := session.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: "info"}); err != nil {
			return nil, err
		}
	}
	return peer, nil
}

func transportOf(job job) mcp.Transport {
	if job.URL != "" {
		return &mcp.StreamableClientTransport{Endpoint: job.URL}
	}
	return &mcp.CommandTransport{Command: exec.Command(job.Command[0], job.Command[1:]...)}
}

func (p *peer) names(ctx context.Context) ([]string, error) {
	var names []string
	for tool, err := range p.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		names = append(names, tool.Name)
	}
	return names, nil
}

// call gives the text of a result and its structured content.
func (p *peer) call(ctx context.Context, name string, arguments map[string]any) (string, any, error) {
	params := &mcp.CallToolParams{
		Meta:      mcp.Meta{mcp.MetaKeyLogLevel: "info"},
		Name:      name,
		Arguments: arguments,
	}
	params.SetProgressToken(name)
	result, err := p.CallTool(ctx, params)
	if err != nil {
		return "", nil, err
	}
	if result.IsError {
		return "", nil, errOfTool
	}
	var said string
	for _, content := range result.Content {
		if text, isText := content.(*mcp.TextContent); isText {
			said += text.Text
		}
	}
	return said, result.StructuredContent, nil
}
