// An MCP server on the official SDK, at port 8080: what the pods behind vmcp run.
//
//	backend legacy    with sessions, as far as revision 2025-11-25
//	backend modern    without, and revision 2026-07-28, too
//
// Its tool `where` says which pod answers, and repeats what it was told, after as many seconds as it was told.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type message struct {
	Message string  `json:"message"`
	Seconds float64 `json:"seconds"`
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: backend legacy | modern")
	}
	pod, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "backend", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "where"},
		func(_ context.Context, _ *mcp.CallToolRequest, in message) (*mcp.CallToolResult, any, error) {
			time.Sleep(time.Duration(in.Seconds * float64(time.Second)))
			said := &mcp.TextContent{Text: pod + " " + in.Message}
			return &mcp.CallToolResult{Content: []mcp.Content{said}}, nil, nil
		})
	mux := http.NewServeMux()
	options := &mcp.StreamableHTTPOptions{Stateless: os.Args[1] == "modern"}
	mux.Handle("/mcp", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options))
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	listener := &http.Server{Addr: ":8080", Handler: mux}
	ends, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		<-ends.Done()
		// As a server should: what is under way is answered.
		limited, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = listener.Shutdown(limited)
	}()
	if err := listener.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
