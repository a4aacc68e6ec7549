// SPDX-License-Identifier: MIT
// A worker in Go. With Debian's golang-github-varlink-go-dev, and io.brood.Worker.varlink (of
// /usr/share/brood) beside it: GO111MODULE=off GOPATH=/usr/share/gocode go build worker.go
package main

import (
	"context"
	_ "embed"
	"github.com/varlink/go/varlink"
	"os"
	"sync"
	"time"
)

type object map[string]interface{}
type worker struct{}

// A handler gets its arguments, may say how far it is, and ends early when ctx is done.
var handlers = map[string]func(context.Context, object, func(float64)) (object, error){
	"count": func(ctx context.Context, args object, progress func(float64)) (object, error) {
		to, _ := args["to"].(float64)
		for i := 0.0; i < to && ctx.Err() == nil; i++ {
			progress(i / to)
			time.Sleep(10 * time.Millisecond)
		}
		return object{"counted": to, "args": args, "pid": os.Getpid()}, ctx.Err()
	},
}

//go:embed io.brood.Worker.varlink
var description string
var running, cancels = sync.Mutex{}, sync.Map{} // a run, and its answer; of runs, by id and attempt

func (worker) VarlinkGetName() string        { return "io.brood.Worker" }
func (worker) VarlinkGetDescription() string { return description }

func (worker) VarlinkDispatch(ctx context.Context, c varlink.Call, method string) error {
	in := struct{ Id, Attempt, Handler, Handlers, Args interface{} }{}
	_ = c.GetParameters(&in)
	switch method {
	case "Prepare":
		go func() { <-ctx.Done(); os.Exit(0) }() // the supervisor has closed its connection
		return c.Reply(ctx, object{"handlers": in.Handlers})
	case "Run":
		return run(ctx, c, [2]interface{}{in.Id, in.Attempt}, in.Args, in.Handler.(string))
	case "Cancel":
		cancel, _ := cancels.LoadOrStore([2]interface{}{in.Id, in.Attempt}, func() {})
		cancel.(func())()
	case "Leave":
		defer func() { running.Lock(); os.Exit(0) }()
	}
	return c.Reply(ctx, object{})
}

func run(ctx context.Context, c varlink.Call, id, args interface{}, handler string) error {
	running.Lock()
	defer running.Unlock()
	if handlers[handler] == nil {
		return c.ReplyError(ctx, "io.brood.Worker.NoSuchHandler", object{"handler": handler})
	}
	job, cancel := context.WithCancel(ctx)
	if _, early := cancels.LoadOrStore(id, (func())(cancel)); early { // its Cancel came first
		cancel()
	}
	more := varlink.Call{Conn: c.Conn, In: c.In, Continues: true}
	progress := func(fraction float64) { _ = more.Reply(ctx, object{"progress": fraction}) }
	result, err := handlers[handler](job, args.(map[string]interface{}), progress)
	cancels.Delete(id)
	if err != nil {
		return c.ReplyError(ctx, "io.brood.Worker.HandlerFailed", object{"message": err.Error()})
	}
	return c.Reply(ctx, object{"result": result})
}

func main() {
	service, _ := varlink.NewService("example", "worker", "1", "")
	_ = service.RegisterInterface(worker{})
	_ = service.Listen(context.Background(), "unix:", 0) // the socket is the one of LISTEN_FDS
}
